"""Aliaport plugin: space, inodes and read-only remounts of each mount."""
