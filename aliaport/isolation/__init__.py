"""Isolation: one thread and event loop per plugin, deadlines, and what is kept of a failure."""
