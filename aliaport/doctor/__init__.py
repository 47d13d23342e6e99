"""`aliaport doctor`: checks a running installation against the production checklist."""
