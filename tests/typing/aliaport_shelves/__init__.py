"""A plugin, an application and a command with strict types; mypy must find no error."""
