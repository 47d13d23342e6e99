"""A plugin, an application and a command as a strict author writes them; mypy must be content."""
