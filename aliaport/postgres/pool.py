"""A pool with timeouts: asyncpg's waits forever for a free connection, and when closing."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg

from aliaport.contract.families import DB_POOL_IDLE, DB_POOL_MAX, DB_POOL_USED
from aliaport.plugin import Context
from aliaport.postgres.connection import STATEMENT_TIMEOUT, opened
from aliaport.postgres.faults import FAULTS
from aliaport.postgres.forgotten import remember
from aliaport.postgres.opening import Opener
from aliaport.postgres.session import Session

ACQUIRE_TIMEOUT = 2.0
CLOSE_TIMEOUT = 2.0
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
        self._context = context
        self._component = component
        self._size = size
        self._opener = Opener(
            context, component=component, statement_timeout=statement_timeout, settings=settings
        )
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
        # asyncpg cannot terminate a pool that is opening; cancelling closes its connection.
        self._pool = await opened(_open(pool), timeout, self._context)
        remember(self, self._context)
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

    def terminate(self) -> None:
        """Drop all connections at once."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()
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

    async def _connect(self, *_: Any, **__: Any) -> Session:
        timeout = self._opener.timeout
        session = await opened(self._opener.open(), timeout, self._context)
        session.add_termination_listener(lambda _: self._export())
        return session

    def _export(self) -> None:
        size = self._pool.get_size() if self._pool else 0
        idle = self._pool.get_idle_size() if self._pool else 0
        self._used.set(size - idle, component=self._component)
        self._idle.set(idle, component=self._component)


async def _open(pool: "asyncpg.Pool[asyncpg.Record]") -> "asyncpg.Pool[asyncpg.Record]":
    await pool
    return pool
