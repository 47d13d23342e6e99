"""Check the language of everything that people read."""
