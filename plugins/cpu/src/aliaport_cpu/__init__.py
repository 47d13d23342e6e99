"""Aliaport plugin: CPU use, load and throttling within the limit of the container."""
