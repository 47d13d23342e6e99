"""The process and its surroundings: descriptors, signals, limits, threads, the address, the end."""
