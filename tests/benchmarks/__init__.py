"""Speed, measured as ratios against named rivals in the same run. Start with `make bench`."""
