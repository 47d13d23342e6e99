"""An application and a plugin that fail, are slow or hang, controlled by files in a folder."""
