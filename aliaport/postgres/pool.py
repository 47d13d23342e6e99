"""A pool with timeouts: asyncpg's waits forever for a free connection, and when closing."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
from pydantic import SecretStr

from aliaport.contract.families import DB_POOL_IDLE, DB_POOL_MAX, DB_POOL_USED
from aliaport.errors import AliaportError
from aliaport.plugin import Context
from aliaport.postgres.arguments import database_url
from aliaport.postgres.connection import STATEMENT_TIMEOUT, opened
from aliaport.postgres.faults import FAULTS, ConnectPending, PoolTimeout
from aliaport.postgres.forgotten import remember
from aliaport.postgres.opening import Opener
from aliaport.postgres.session import Session

ACQUIRE_TIMEOUT = 2.0
CLOSE_TIMEOUT = 2.0
RETRY_PAUSE = 0.05
RENEW_PAUSE = 5.0
"""Seconds between two looks at the URL, and two attempts to use a changed one."""

RELEASE_TIMEOUT = 0.5
"""Seconds. Resetting a connection takes a millisecond; a server that does not respond is stuck."""


class Pool:
    """Up to `size` connections of one component, opened when they are first needed.

    Call `start` and `stop` from the plugin's own, or from an application's `cleanup_ctx`. The
    numbers of used and idle connections are exported as `aliaport_db_pool_*{component}`. `settings`
    are additional server settings for its sessions.
    """

    def __init__(
        self,
        context: Context,
        *,
        component: str,
        size: int = 5,
        statement_timeout: float = STATEMENT_TIMEOUT,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._context = context
        self._component = component
        self._size = size
        self._opener = Opener(
            context, component=component, statement_timeout=statement_timeout, settings=settings
        )
        self._url: SecretStr | None = None
        self._renewal: asyncio.Future[None] | None = None
        self._renewed = float("-inf")
        self._openings: list[asyncio.Future[Session]] = []
        self._sessions: set[Session] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._used = context.gauge(DB_POOL_USED)
        self._idle = context.gauge(DB_POOL_IDLE)
        context.gauge(DB_POOL_MAX).set(size, component=component)
        self._export()

    async def start(self) -> None:
        """Open the first connection as `connect` does. Raises its errors."""
        if self._pool is not None:
            return
        timeout = self._opener.timeout
        pool: asyncpg.Pool[asyncpg.Record] = asyncpg.create_pool(
            min_size=1,
            max_size=self._size,
            connection_class=Session,
            connect=self._connect,  # takes all that asyncpg passes
        )
        self._url = self._context.database_url
        try:
            # asyncpg cannot terminate a pool that is opening; cancelling closes its connection.
            self._pool = await opened(_open(pool), timeout, self._context)
        finally:
            if self._pool is None:
                self._give_up()
        remember(self, self._context)
        self._export()
        self._look_at_url()

    async def stop(self) -> None:
        """Close all connections within CLOSE_TIMEOUT; drop those that do not respond."""
        pool, self._pool = self._pool, None
        self._give_up()
        if pool is None:
            return
        work = asyncio.ensure_future(pool.close())
        try:
            await asyncio.wait({work}, timeout=CLOSE_TIMEOUT)
        finally:
            if not work.done():
                pool.terminate()
                work.cancel()
            self._export()

    def terminate(self) -> None:
        """Drop all connections at once."""
        pool, self._pool = self._pool, None
        self._give_up()
        if pool is not None:
            pool.terminate()
            self._export()

    @asynccontextmanager
    async def acquire(
        self, timeout: float = ACQUIRE_TIMEOUT
    ) -> AsyncIterator["asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"]:
        """Acquire a connection for a block.

        Raises PoolTimeout, a TimeoutError, if none is free within `timeout` seconds, ConnectPending
        if a further one is still being opened then, RuntimeError before `start`, and the errors of
        `connect` if there is none and none can be opened. A connection that the server has closed
        is replaced first. One that is stuck at the end of the block is dropped.
        """
        if self._pool is None:
            raise RuntimeError(f"the pool of {self._component} is not started")
        pool = self._pool
        self._follow_url(pool)
        connection = await self._acquire(pool, timeout)
        self._export()
        try:
            yield connection
        finally:
            try:
                # What the block did is done: a connection that cannot be reset is only dropped.
                with suppress(*FAULTS):
                    await pool.release(connection, timeout=RELEASE_TIMEOUT)
            finally:
                self._export()

    async def _acquire(
        self, pool: "asyncpg.Pool[asyncpg.Record]", timeout: float
    ) -> "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]":
        deadline = time.monotonic() + timeout
        while True:
            try:
                connection = await pool.acquire(timeout=max(0.0, deadline - time.monotonic()))
            except TimeoutError as error:
                if type(error) is not TimeoutError or error.errno is not None:
                    raise
                if pool.get_size() < self._size:
                    raise ConnectPending(f"no connection after {timeout:g} s") from None
                text = f"all {self._size} connections of {self._component} were in use"
                raise PoolTimeout(f"{text} for {timeout:g} s") from None
            except FAULTS:
                # The server accepts no further connection, but those that are open work.
                if pool.get_size() == 0 or time.monotonic() + RETRY_PAUSE > deadline:
                    raise
                await asyncio.sleep(RETRY_PAUSE)
                continue
            if not await connection.is_lost():  # type: ignore[attr-defined]  # of Session
                return connection
            with suppress(*FAULTS):
                await pool.release(connection, timeout=RELEASE_TIMEOUT)

    async def _connect(self, *_: Any, **__: Any) -> Session:
        """Open a session. If its caller gives up, the next caller gets it."""
        opening = await self._unclaimed()
        if opening is None:
            timeout = self._opener.timeout
            opening = asyncio.ensure_future(opened(self._opener.open(), timeout, self._context))
        try:
            session = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_retrieve)
            self._openings.append(opening)
            raise
        self._sessions.add(session)
        session.add_termination_listener(self._forget)
        return session

    def _forget(self, session: Any) -> None:
        self._sessions.discard(session)
        self._export()

    def _look_at_url(self) -> None:
        """Follow the URL also while nobody acquires a connection."""
        if self._pool is not None:
            self._follow_url(self._pool)
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(RENEW_PAUSE, self._look_at_url)

    def _follow_url(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        """If the URL has changed, replace all connections as soon as it works."""
        url = self._context.database_url
        if url == self._url or (self._renewal is not None and not self._renewal.done()):
            return
        if time.monotonic() - self._renewed > RENEW_PAUSE:
            self._renewed = time.monotonic()
            self._renewal = asyncio.ensure_future(self._renew(pool, url))

    async def _renew(self, pool: "asyncpg.Pool[asyncpg.Record]", url: SecretStr | None) -> None:
        try:
            place = database_url(self._context)
            opening = asyncio.ensure_future(self._opener.open_at(place))
            session = await opened(opening, self._opener.timeout, self._context)
        except (AliaportError, *FAULTS):
            return  # not yet: the open connections serve
        self._url = url
        if self._pool is not pool:
            session.terminate()
            return
        self._drop_openings()
        self._openings.append(opening)  # for the next caller
        await pool.expire_connections()  # those in use end with their block
        for idle in [session for session in self._sessions if not session.is_acquired]:
            idle.terminate()

    async def _unclaimed(self) -> "asyncio.Future[Session] | None":
        while self._openings:
            opening = self._openings.pop()
            if not opening.done():
                return opening
            if not opening.cancelled() and opening.exception() is None:
                if not await opening.result().is_lost():
                    return opening
                opening.result().terminate()
        return None

    def _give_up(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._renewal is not None:
            self._renewal.cancel()
        self._drop_openings()

    def _drop_openings(self) -> None:
        while self._openings:
            opening = self._openings.pop()
            opening.cancel()
            opening.add_done_callback(_terminate)

    def _export(self) -> None:
        size = self._pool.get_size() if self._pool else 0
        idle = self._pool.get_idle_size() if self._pool else 0
        self._used.set(size - idle, component=self._component)
        self._idle.set(idle, component=self._component)


async def _open(pool: "asyncpg.Pool[asyncpg.Record]") -> "asyncpg.Pool[asyncpg.Record]":
    await pool
    return pool


def _retrieve(done: "asyncio.Future[Session]") -> None:
    """Take the exception of what nobody waits for, so that asyncio does not report it."""
    if not done.cancelled():
        done.exception()


def _terminate(done: "asyncio.Future[Session]") -> None:
    if not done.cancelled() and done.exception() is None:
        done.result().terminate()
