"""Tests that run the guides of docs/how-to."""
