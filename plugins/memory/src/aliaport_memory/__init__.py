"""Aliaport plugin: memory, swap and OOM kills within the limit of the container."""
