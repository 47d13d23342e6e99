"""Tests that run the commands of the guides in docs/how-to."""
