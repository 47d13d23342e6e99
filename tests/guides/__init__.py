"""Tests that run the commands of deploy/guides."""
