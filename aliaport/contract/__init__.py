"""The contract between host and plugins: declarations, metric families, services of the host."""
