"""Aliaport plugin: memory, swap and OOM kills within the container's limit."""
