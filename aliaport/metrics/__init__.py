"""Metrics: families and their owners, samples, collectors, the Prometheus page."""
