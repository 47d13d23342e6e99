"""The abuse campaign: strangers, floods and hostile servers against one service with tight limits."""
