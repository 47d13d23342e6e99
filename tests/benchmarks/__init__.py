"""Benchmarks: ratios against named rivals, measured in the same run. Start with `make bench`."""
