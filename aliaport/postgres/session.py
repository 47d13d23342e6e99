"""A connection that is dropped rather than awaited, and that keeps the settings of its session."""

import asyncio
import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from aliaport.postgres.delays import Delay
from aliaport.postgres.watch import Watch

CANCEL_TIMEOUT = 0.1
"""Seconds. Cancelling a statement takes a millisecond; a server that does not confirm it is stuck,
and whoever waits for the response must not wait for it too."""

READ_PAUSES = (0.0, 0.0, 0.001, 0.002, 0.005, 0.01, 0.02)
"""Seconds to wait for the end of a connection on which the server has sent something unasked."""

if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]
else:  # not generic at run time
    _Connection = asyncpg.Connection


class Session(_Connection):
    """A connection to a server, or to a pooler in front of it.

    It is dropped if the server does not confirm that a statement is cancelled: asyncpg cancels a
    statement that timed out, or whose caller gave up, and until the server confirms it, everything
    that follows on the connection waits, such as the end of a transaction.
    """

    __slots__ = ("_after_reset", "_is_shared", "_watch", "own_pid")

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._after_reset = ""
        self._is_shared = False
        self._watch: Watch | None = None
        self.own_pid: int | None = None
        """The process of the server, if the session was opened as one of its own."""

    def keep(self, settings: str) -> None:
        """Repeat this statement after each reset, which would otherwise undo it."""
        self._after_reset = settings

    def mark_shared(self) -> None:
        """Leave the server session alone: a pooler gives each transaction another one."""
        self._is_shared = True

    def watch(self, watch: Watch) -> None:
        """Watch each statement: an error of its timeout shows what it waited for."""
        self._watch = watch

    @property
    def is_acquired(self) -> bool:
        """True while a user of a pool has the connection."""
        return self._proxy is not None  # type: ignore[attr-defined]  # not in the stubs

    def delay(self) -> Delay | None:
        """Return what is known of the running or last statement."""
        return self._watch.delay() if self._watch is not None else None

    @contextmanager
    def _time_and_log(self, query: str, args: Any, timeout: float | None) -> Iterator[None]:
        with super()._time_and_log(query, args, timeout):  # type: ignore[misc]  # not in the stubs
            if self._watch is None:
                yield
            else:
                with self._watch.running(query):
                    yield

    async def is_lost(self) -> bool:
        """Return whether the connection is closed, after reading what the server has sent.

        A server that ends says so and closes the connection. Until that is read, an idle connection
        looks open, and the next statement would fail.
        """
        transport: asyncio.Transport = self._transport  # type: ignore[attr-defined]  # not in stubs
        socket = transport.get_extra_info("socket")
        if self.is_closed() or socket is None:
            return True
        readable = select.poll()
        readable.register(socket.fileno(), select.POLLIN)
        pauses = READ_PAUSES if readable.poll(0) else ()
        for pause in pauses:
            await asyncio.sleep(pause)
            if self.is_closed():
                return True
        return False

    def get_reset_query(self) -> str:
        """Return the statements with which a pool resets the connection for its next user."""
        if self._is_shared:
            return ""
        return "\n".join(filter(None, (super().get_reset_query(), self._after_reset)))

    def _cancel_current_command(self, *waiters: "asyncio.Future[None]") -> None:
        super()._cancel_current_command(*waiters)  # type: ignore[misc]  # the stubs lack it
        asyncio.get_running_loop().call_later(
            CANCEL_TIMEOUT, self._drop_unless_confirmed, waiters[-1]
        )

    def _drop_unless_confirmed(self, confirmed: "asyncio.Future[None]") -> None:
        if not confirmed.done():
            self.terminate()
