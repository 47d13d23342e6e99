"""Plugins that misbehave, each in a module of its own."""
