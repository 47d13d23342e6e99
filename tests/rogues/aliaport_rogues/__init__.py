"""Plugins that misbehave, by kind of fault."""
