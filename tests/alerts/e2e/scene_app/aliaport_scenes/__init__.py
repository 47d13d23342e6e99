"""An application and a plugin that fail, are slow and hang as files in a folder say."""
