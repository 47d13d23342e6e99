"""Serves the applications on their listening sockets, and closes these after the drain."""

import asyncio
import os
import socket
from asyncio import BaseProtocol as Protocol
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from aliaport.errors import StartupError
from aliaport.process.descriptors import count_open, raise_limit
from aliaport.settings import HttpSettings
from aliaport.web.aiohttp_internals import check_aiohttp
from aliaport.web.connection import Connection
from aliaport.web.connection_pool import ConnectionPool
from aliaport.web.listening import BACKLOG
from aliaport.web.state import AppState

FINISH_TIMEOUT = 5.0
"""Seconds that requests in flight get to finish once the listeners are closed."""

SETTLE_TIMEOUT = 0.5
"""Seconds that clients who connected just before the listeners closed get to send a request."""

BODY_TIMEOUT = 2.0
"""Seconds that the bodies of requests in flight get to arrive: aiohttp discards them afterwards."""

CLOSE_TIMEOUT = BODY_TIMEOUT + FINISH_TIMEOUT + 1
"""Maximum seconds for closing the listeners and the connections."""

SETTLE_INTERVAL = 0.02
"""Seconds between two looks at those clients."""

MAX_ACCEPTS = 64
"""Connections that are accepted at once.

uvloop accepts one each time the loop turns, so that a busy loop would leave the others waiting.
"""

MIN_CONNECTIONS = 10
"""Connections without which the service does not start."""


class Server:
    """The listeners of one process, all on the HTTP loop.

    `internal` says whether there is an internal listener, for which connections are kept. Raises
    StartupError if the limit of open files leaves too few, or if aiohttp has another version.
    """

    def __init__(self, state: AppState, *, internal: bool) -> None:
        check_aiohttp()
        self._state = state
        self._runners: list[web.AppRunner] = []
        self._listeners: list[tuple[asyncio.Server, socket.socket, Callable[[], Protocol]]] = []
        self._ports: set[int] = set()
        self._accepting: set[asyncio.Task[Any]] = set()
        loop = asyncio.get_running_loop()
        limits = state.settings.http
        for listener, capacity in connection_limits(limits, internal=internal).items():
            state.pools[listener] = ConnectionPool(listener, capacity, limits, state.limits, loop)
        os.register_at_fork(after_in_child=self._close_in_child)

    async def listen(
        self, app: web.Application, sockets: Sequence[socket.socket], listener: str
    ) -> None:
        """Accept connections on the listening sockets of a listener, `public` or `internal`."""
        runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=FINISH_TIMEOUT)
        await runner.setup()
        manager = runner.server
        assert manager is not None
        loop = asyncio.get_running_loop()
        pool = self._state.pools[listener]
        self._runners.append(runner)

        def accept() -> Protocol:
            return pool.open(lambda: Connection(self._state, pool, manager, loop))

        for opened in sockets:
            self._ports.add(opened.getsockname()[1])

            def accept_all(opened: socket.socket = opened) -> Protocol:
                for client in _accept_waiting(opened, MAX_ACCEPTS):
                    task = loop.create_task(loop.connect_accepted_socket(accept, client))
                    self._accepting.add(task)
                    task.add_done_callback(self._accepted)
                return accept()

            server = await loop.create_server(accept_all, sock=opened, backlog=BACKLOG)
            self._listeners.append((server, opened, accept))

    async def close(self) -> None:
        """Stop accepting, let requests finish, and close the connections."""
        loop = asyncio.get_running_loop()
        accepted = []
        for server, opened, accept in self._listeners:
            # The kernel resets what it has accepted for a socket that closes.
            opened.listen(0)
            clients = _accept_waiting(opened, BACKLOG)
            server.close()
            accepted += [loop.connect_accepted_socket(accept, client) for client in clients]
        await asyncio.gather(*accepted, return_exceptions=True)
        await self._settle()
        cleanups = {asyncio.ensure_future(runner.cleanup()) for runner in self._runners}
        if cleanups:
            await asyncio.wait(cleanups, timeout=FINISH_TIMEOUT + 1)

    def _accepted(self, task: asyncio.Task[Any]) -> None:
        self._accepting.discard(task)
        if not task.cancelled():
            task.exception()  # the client has gone: nothing to log

    async def _settle(self) -> None:
        """Wait for requests of clients who connected just before the end, and for open bodies."""
        pools = self._state.pools.values()
        for turn in range(round(BODY_TIMEOUT / SETTLE_INTERVAL)):
            settles = turn * SETTLE_INTERVAL < SETTLE_TIMEOUT and any(
                pool.has_new() for pool in pools
            )
            if not settles and not any(pool.has_open_body() for pool in pools):
                return
            await asyncio.sleep(SETTLE_INTERVAL)

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


def connection_limits(limits: HttpSettings, *, internal: bool) -> dict[str, int]:
    """Return how many connections each listener may have. Raises StartupError if too few."""
    limit = raise_limit()
    used = count_open() + limits.spare_descriptors
    total = min(limits.max_connections, limit - used)
    if total < MIN_CONNECTIONS:
        raise StartupError(
            f"the limit of open files (`ulimit -n`, LimitNOFILE=) is {limit}, which leaves "
            f"{max(0, limit - used)} connections; set it to {used + limits.max_connections}, or "
            "lower http.spare_descriptors"
        )
    if not internal:
        return {"public": total}
    kept = min(limits.internal_connections, total // 2)
    return {"public": total - kept, "internal": kept}


def _accept_waiting(listener: socket.socket, limit: int) -> list[socket.socket]:
    """Return at most `limit` connections that the kernel has accepted for this socket."""
    accepted: list[socket.socket] = []
    with suppress(OSError):  # usually that none is left
        while len(accepted) < limit:
            accepted.append(listener.accept()[0])
    return accepted
