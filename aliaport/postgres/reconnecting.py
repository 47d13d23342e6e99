"""A connection for small queries that is replaced on any error and every half minute."""

import asyncio
import time
from typing import Any

import asyncpg

from aliaport.plugin import Context
from aliaport.postgres.connection import close, opened
from aliaport.postgres.delays import delay_of, keep_delay
from aliaport.postgres.faults import ConnectPending, ConnectTimeout, QueryTimeout
from aliaport.postgres.opening import Opener
from aliaport.postgres.session import Session

REPLACE_AFTER = 30.0
"""Seconds after which the connection is replaced at its next use, as the address of the server may
have changed. A changed URL takes effect without a use."""

ATTEMPT_TIMEOUT = 5.0
"""Seconds of an attempt to connect, which goes on after its caller has stopped waiting."""

RETRY_AFTER = 5.0
"""Seconds between two attempts to replace a connection that works, and two looks at the URL."""

_LOST = (
    *(ConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError),
    *(asyncpg.ConnectionDoesNotExistError, asyncpg.IdleSessionTimeoutError),
    *(asyncpg.AdminShutdownError, asyncpg.CrashShutdownError, asyncpg.CannotConnectNowError),
)
"""Errors of statements whose connection was lost before or while they ran."""


class ReconnectingConnection:
    """One statement at a time on one connection, which is opened when it is first needed.

    For probes and collectors: it reconnects after errors, and a frozen server costs at most both
    timeouts, in seconds. A second caller waits for the first. An attempt to connect goes on for
    ATTEMPT_TIMEOUT, or `connect_timeout` if that is longer: on a slow network the next caller finds
    the connection open. A connection that works is used until its replacement is open.

    With `reads_only`, a statement that loses its connection is repeated once on a new one;
    otherwise only if it was certainly not sent.
    """

    def __init__(
        self,
        context: Context,
        *,
        component: str,
        connect_timeout: float,
        query_timeout: float,
        reads_only: bool = False,
    ) -> None:
        self._context = context
        self._opener = Opener(context, component=component, statement_timeout=query_timeout)
        self._connect_timeout = connect_timeout
        self._query_timeout = query_timeout
        self._reads_only = reads_only
        self._connection: Session | None = None
        self._opened = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._served = False
        self._opening: asyncio.Future[Session] | None = None
        self._attempted = float("-inf")
        self._failure: BaseException | None = None
        self._closing: set[asyncio.Future[None]] = set()
        self._turn = asyncio.Lock()

    @property
    def replacement_error(self) -> BaseException | None:
        """The error with which the last attempt to replace a working connection failed, if any."""
        return self._failure if self._connection is not None else None

    async def open(self) -> None:
        """Open the connection before it is needed, so that no caller of `fetch` waits for it.

        Takes ATTEMPT_TIMEOUT, or `connect_timeout` if that is longer. Raises the errors of
        `connect`.
        """
        async with self._turn:
            if not await self._is_usable():
                await self._open(timeout=None)

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        """Return the rows. Raises QueryTimeout and the errors of `connect`.

        Raises ConnectPending, a TimeoutError, while connecting takes longer than `connect_timeout`.
        """
        async with self._turn:
            began = time.monotonic()
            if await self._is_usable():
                try:
                    return await self._run(began, statement, arguments)
                except _LOST:
                    if not self._reads_only:
                        raise
            await self._open(self._connect_timeout)
            return await self._run(began, statement, arguments)

    async def close(self) -> None:
        """Close the connection within 0.1 s, and give up an attempt to open one."""
        if self._timer is not None:
            self._timer.cancel()
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
            opening.add_done_callback(_terminate)
        connection, self._connection = self._connection, None
        if connection is not None:
            await close(connection, timeout=0.1)

    async def _is_usable(self) -> bool:
        """Return whether there is a connection; begin to replace it if it is old."""
        if self._opening is not None and self._opening.done():
            self._finish(self._opening)
        if self._connection is not None and await self._connection.is_lost():
            self._connection.terminate()
            self._connection = None
        if self._connection is not None and self._opening is None:
            now = time.monotonic()
            if now - self._opened > REPLACE_AFTER and now - self._attempted > RETRY_AFTER:
                self._begin()
        return self._connection is not None

    async def _open(self, timeout: float | None) -> None:
        opening = self._opening or self._begin()
        await asyncio.wait({opening}, timeout=timeout)
        if not opening.done():
            if isinstance(self._failure, ConnectTimeout):  # of the whole attempt before
                raise ConnectTimeout(str(self._failure))
            raise ConnectPending(f"no connection after {timeout:g} s")
        self._finish(opening)
        if self._connection is None:
            assert self._failure is not None
            raise self._failure

    def _look_at_url(self) -> None:
        """Replace the connection if the URL has changed, also while nobody uses it."""
        if self._connection is None or self._connection.is_closed():
            return
        if not self._turn.locked():
            if self._opening is not None and self._opening.done():
                self._finish(self._opening)
            elif self._opening is None and not self._opener.is_current:
                self._begin()
        self._look_later()

    def _look_later(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(RETRY_AFTER, self._look_at_url)

    def _begin(self) -> "asyncio.Future[Session]":
        self._attempted = time.monotonic()
        timeout = max(ATTEMPT_TIMEOUT, self._connect_timeout)
        self._opening = asyncio.ensure_future(opened(self._opener.open(), timeout, self._context))
        self._opening.add_done_callback(_retrieve)
        return self._opening

    def _finish(self, opening: "asyncio.Future[Session]") -> None:
        """Use the connection of an attempt that has ended, or keep its error."""
        self._opening = None
        if opening.cancelled():  # with the other tasks of a failed start of its plugin
            self._failure = ConnectionAbortedError("connecting was cancelled")
            return
        self._failure = opening.exception()
        if self._failure is None:
            previous, self._connection = self._connection, opening.result()
            self._opened, self._served = time.monotonic(), False
            self._look_later()
            if previous is not None:
                closing = asyncio.ensure_future(close(previous))
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)

    async def _run(self, began: float, statement: str, arguments: tuple[Any, ...]) -> list[Any]:
        timeout = self._query_timeout
        if not self._served:
            # The first statement takes two round trips, and may have the time of connecting too.
            timeout = max(timeout, began + self._connect_timeout + timeout - time.monotonic())
        assert self._connection is not None
        # Not asyncpg's own timeout: it cancels the statement over another connection, which would
        # hang on a frozen server.
        work = asyncio.ensure_future(self._connection.fetch(statement, *arguments, timeout=60))
        rows = None
        try:
            done, _ = await asyncio.wait({work}, timeout=timeout)
            if not done:
                timed_out = QueryTimeout()
                keep_delay(timed_out, self._connection.delay())
                raise timed_out
            rows = list(work.result())
        except asyncpg.QueryCanceledError as error:  # the server cancelled it first
            timed_out = QueryTimeout()
            keep_delay(timed_out, delay_of(error))
            raise timed_out from None
        finally:
            if rows is None:
                self._drop(work)
        self._served = True
        return rows

    def _drop(self, work: "asyncio.Future[Any]") -> None:
        connection, self._connection = self._connection, None
        work.add_done_callback(_retrieve)
        if connection is not None:
            connection.terminate()


def _terminate(done: "asyncio.Future[Session]") -> None:
    if not done.cancelled() and done.exception() is None:
        done.result().terminate()


def _retrieve(done: "asyncio.Future[Any]") -> None:
    """Take the exception of what nobody waits for, so that asyncio does not report it."""
    if not done.cancelled():
        done.exception()
