"""A pool with timeouts: asyncpg's waits forever for a free connection, and when closing."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import asyncpg

from aliaport.contract.families import DB_POOL_IDLE, DB_POOL_MAX, DB_POOL_USED
from aliaport.plugin import Context
from aliaport.postgres.arguments import connect_arguments, connect_timeout, database_url
from aliaport.postgres.connection import (
    CONNECT_TIMEOUT,
    FAULTS,
    STATEMENT_TIMEOUT,
    opened,
    server_settings,
    time_statements,
)

ACQUIRE_TIMEOUT = 2.0
CLOSE_TIMEOUT = 2.0
RELEASE_TIMEOUT = 0.5
CANCEL_TIMEOUT = 0.1
"""Seconds. Resetting a connection and cancelling a statement take a millisecond; a server that does
not respond to them is stuck, and whoever waits for the response must not wait for it too."""


if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]
else:  # not generic at run time
    _Connection = asyncpg.Connection


class DroppableConnection(_Connection):
    """A connection that is dropped if the server does not confirm that a statement is cancelled.

    asyncpg cancels a statement that timed out, or whose caller gave up. Until the server confirms
    it, everything that follows on the connection waits, such as the end of a transaction.
    """

    __slots__ = ()

    def _cancel_current_command(self, *waiters: "asyncio.Future[None]") -> None:
        super()._cancel_current_command(*waiters)  # type: ignore[misc]  # the stubs lack it
        asyncio.get_running_loop().call_later(
            CANCEL_TIMEOUT, self._drop_unless_confirmed, waiters[-1]
        )

    def _drop_unless_confirmed(self, confirmed: "asyncio.Future[None]") -> None:
        if not confirmed.done():
            self.terminate()


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
        self._statement_timeout = statement_timeout
        self._settings = {**server_settings(component, statement_timeout), **(settings or {})}
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._used = context.gauge(DB_POOL_USED)
        self._idle = context.gauge(DB_POOL_IDLE)
        context.gauge(DB_POOL_MAX).set(size, component=component)
        self._export()

    async def start(self) -> None:
        """Open the first connection as `connect` does. Raises its errors."""
        if self._pool is not None:
            return
        url = database_url(self._context)
        timeout = connect_timeout(url, CONNECT_TIMEOUT)

        async def opening() -> "asyncpg.Pool[asyncpg.Record]":
            pool = asyncpg.create_pool(
                **connect_arguments(url, self._settings),
                min_size=1,
                max_size=self._size,
                timeout=timeout,
                command_timeout=self._statement_timeout,
                connection_class=DroppableConnection,
                init=self._prepare,
            )
            await pool
            return pool

        # asyncpg cannot terminate a pool that is opening; cancelling closes its connection.
        self._pool = await opened(opening(), timeout, self._context)
        self._export()

    async def stop(self) -> None:
        """Close all connections within CLOSE_TIMEOUT; drop those that do not respond."""
        pool, self._pool = self._pool, None
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

    @asynccontextmanager
    async def acquire(
        self, timeout: float = ACQUIRE_TIMEOUT
    ) -> AsyncIterator["asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"]:
        """Acquire a connection for a block.

        Raises TimeoutError if none is free within `timeout` seconds, and RuntimeError before
        `start`. A connection that is stuck at the end of the block is dropped.
        """
        if self._pool is None:
            raise RuntimeError(f"the pool of {self._component} is not started")
        pool = self._pool
        connection = await pool.acquire(timeout=timeout)
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

    async def _prepare(self, connection: Any) -> None:
        time_statements(connection, self._context, self._component)
        connection.add_termination_listener(lambda _: self._export())

    def _export(self) -> None:
        size = self._pool.get_size() if self._pool else 0
        idle = self._pool.get_idle_size() if self._pool else 0
        self._used.set(size - idle, component=self._component)
        self._idle.set(idle, component=self._component)
