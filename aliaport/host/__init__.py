"""The plugin host: discovery, lifecycle, probes, jobs, report, its own metrics."""
