"""The guides of deploy/guides, tried out."""
