"""Aliaport plugin: CPU usage, load and throttling within the container's limit."""
