"""`aliaport doctor`: the production checklist, asked of a running installation."""
