raise ImportError("this package is broken")
