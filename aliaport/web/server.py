"""Listening sockets: opened before anything else starts, closed after the drain."""

import asyncio
import errno
import os
import socket
from pathlib import Path

from aiohttp import web

from aliaport.errors import StartupError
from aliaport.web.connection import Connection
from aliaport.web.state import AppState

FINISH_TIMEOUT = 5.0
"""Seconds that requests in flight get to finish once the listeners are closed."""

CLOSE_TIMEOUT = FINISH_TIMEOUT + 1
"""Maximum seconds for closing the listeners and the connections."""

BACKLOG = 1024


def open_socket(host: str, port: int, setting: str) -> socket.socket:
    """Return a bound socket; `setting` configures its port. Raises StartupError with the fix."""
    opened = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        opened = socket.socket(family, kind, protocol)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
    except OSError as error:
        if opened is not None:
            opened.close()
        raise StartupError(
            f"cannot listen on {host} port {port}: {error.strerror}; {_remedy(error, setting)}"
        ) from None
    return opened


def _remedy(error: OSError, setting: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"stop the process that listens there, or set {setting} to another port"
    if error.errno == errno.EACCES:
        return f"set {setting} to 1024 or higher"
    return f"set {setting.removesuffix('PORT')}HOST to an address of this machine"


class Server:
    """The listeners of one process, all on the HTTP loop."""

    def __init__(self, state: AppState) -> None:
        self._state = state
        self._runners: list[web.AppRunner] = []
        self._listeners: list[asyncio.Server] = []
        self._ports: set[int] = set()
        os.register_at_fork(after_in_child=self._close_in_child)

    async def listen(self, app: web.Application, opened: socket.socket) -> None:
        """Accept connections on a bound socket."""
        runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=FINISH_TIMEOUT)
        await runner.setup()
        manager = runner.server
        assert manager is not None
        loop = asyncio.get_running_loop()
        self._ports.add(opened.getsockname()[1])
        listener = await loop.create_server(
            lambda: Connection(self._state, manager, loop), sock=opened, backlog=BACKLOG
        )
        self._runners.append(runner)
        self._listeners.append(listener)

    async def close(self) -> None:
        """Stop accepting, let requests finish, and close the connections."""
        for listener in self._listeners:
            listener.close()
        cleanups = {asyncio.ensure_future(runner.cleanup()) for runner in self._runners}
        if cleanups:
            await asyncio.wait(cleanups, timeout=CLOSE_TIMEOUT)

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
