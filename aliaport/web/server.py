"""Serves the applications on their listening sockets, and closes these after the drain."""

import asyncio
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from aliaport.web.connection import Connection
from aliaport.web.listening import BACKLOG
from aliaport.web.state import AppState

FINISH_TIMEOUT = 5.0
"""Seconds that requests in flight get to finish once the listeners are closed."""


class Server:
    """The listeners of one process, all on the HTTP loop."""

    def __init__(self, state: AppState) -> None:
        self._state = state
        self._runners: list[web.AppRunner] = []
        self._listeners: list[asyncio.Server] = []
        self._ports: set[int] = set()
        os.register_at_fork(after_in_child=self._close_in_child)

    async def listen(self, app: web.Application, sockets: Sequence[socket.socket]) -> None:
        """Accept connections on listening sockets."""
        runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=FINISH_TIMEOUT)
        await runner.setup()
        manager = runner.server
        assert manager is not None
        loop = asyncio.get_running_loop()
        self._runners.append(runner)
        for opened in sockets:
            self._ports.add(opened.getsockname()[1])
            listener = await loop.create_server(
                lambda: Connection(self._state, manager, loop), sock=opened, backlog=BACKLOG
            )
            self._listeners.append(listener)

    async def close(self) -> None:
        """Stop accepting, let requests finish, and close the connections."""
        for listener in self._listeners:
            listener.close()
        cleanups = {asyncio.ensure_future(runner.cleanup()) for runner in self._runners}
        if cleanups:
            await asyncio.wait(cleanups, timeout=FINISH_TIMEOUT + 1)

    def _close_in_child(self) -> None:
        """Close the sockets in a plugin's fork, so that it holds no port or connection open."""
        for entry in Path("/proc/self/fd").iterdir():
            try:
                if not str(entry.readlink()).startswith("socket:"):
                    continue
                copy = socket.socket(fileno=os.dup(int(entry.name)))
            except OSError:
                continue
            with copy:
                ours = copy.family in (socket.AF_INET, socket.AF_INET6) and (
                    copy.getsockname()[1] in self._ports
                )
            if ours:
                os.close(int(entry.name))
