"""The HTTP side: the only importer of aiohttp in the state."""
