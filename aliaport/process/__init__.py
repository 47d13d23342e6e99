"""The process and its surroundings: signals, limits, memory, threads, the address, the end."""
