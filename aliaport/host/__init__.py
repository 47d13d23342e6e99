"""The host of the plugins: discovery, lifecycle, probes, jobs, report, its own metrics."""
