"""The manifests of deploy/kubernetes."""
