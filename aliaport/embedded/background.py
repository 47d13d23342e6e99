"""The embedded server of a running service, which starts and stops it off the HTTP loop."""

import asyncio
from pathlib import Path

from aliaport.embedded.server import EmbeddedPostgres
from aliaport.isolation.bulkhead import finish_within
from aliaport.process.threads import worker

STOP_TIMEOUT = 6.0
"""Seconds for the server to stop, and as many for a start that a stop interrupts."""


class BackgroundPostgres:
    """The server of a folder. Use it on one loop; its thread exists from the beginning.

    Raises RuntimeError if the thread cannot be started.
    """

    def __init__(self, folder: Path) -> None:
        self._server = EmbeddedPostgres(folder)
        self._worker = worker("database")
        self._start: asyncio.Future[str] | None = None

    async def start(self) -> str:
        """Start the server and return its URL; if cancelled, it goes on. Raises StartupError."""
        self._start = asyncio.wrap_future(self._worker.submit(self._server.start))
        return await asyncio.shield(self._start)

    async def limit_problem(self) -> str:
        """Return which limit may keep the running server from forking, and what to set, or ''."""
        return await asyncio.wrap_future(self._worker.submit(self._server.limit_problem))

    async def stop(self) -> None:
        """Stop the server unless others use it; takes at most twice STOP_TIMEOUT."""
        if self._start is None:
            return
        # A half-started server cannot be stopped.
        await asyncio.wait({self._start}, timeout=STOP_TIMEOUT)
        ended = asyncio.wrap_future(self._worker.submit(self._server.stop))
        await finish_within(ended, STOP_TIMEOUT)
