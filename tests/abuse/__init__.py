"""The abuse campaign: callers who misbehave, floods and hostile servers against one service."""
