"""The HTTP side: the only importer of aiohttp besides `apps` and `doctor`."""
