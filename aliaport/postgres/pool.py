"""A pool with timeouts: asyncpg's waits forever for a free connection, and when closing."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from aliaport.contract.families import DB_POOL_IDLE, DB_POOL_MAX, DB_POOL_USED
from aliaport.plugin import Context
from aliaport.postgres.connection import (
    CONNECT_TIMEOUT,
    STATEMENT_TIMEOUT,
    database_url,
    server_settings,
    time_statements,
)

ACQUIRE_TIMEOUT = 2.0
CLOSE_TIMEOUT = 2.0
"""Seconds."""


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
        """Open the first connection within CONNECT_TIMEOUT. Raises the errors of `connect`."""
        if self._pool is not None:
            return
        pool = asyncpg.create_pool(
            database_url(self._context),
            min_size=1,
            max_size=self._size,
            timeout=CONNECT_TIMEOUT,
            command_timeout=self._statement_timeout,
            server_settings=self._settings,
            init=self._prepare,
        )
        work = asyncio.ensure_future(_open(pool))
        done, _ = await asyncio.wait({work}, timeout=CONNECT_TIMEOUT)
        if not done:
            # asyncpg cannot terminate a pool that is opening; cancelling closes its connection.
            work.cancel()
            raise TimeoutError(f"no connection within {CONNECT_TIMEOUT:g} s")
        work.result()
        self._pool = pool
        self._export()

    async def stop(self) -> None:
        """Close all connections within CLOSE_TIMEOUT; drop those that do not respond."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        work = asyncio.ensure_future(pool.close())
        done, _ = await asyncio.wait({work}, timeout=CLOSE_TIMEOUT)
        if not done:
            pool.terminate()
            work.cancel()
        self._export()

    @asynccontextmanager
    async def acquire(
        self, timeout: float = ACQUIRE_TIMEOUT
    ) -> AsyncIterator["asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"]:
        """Acquire a connection for a block.

        Raises TimeoutError if none is free within `timeout` seconds, and RuntimeError before
        `start`.
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
                await pool.release(connection, timeout=CLOSE_TIMEOUT)
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


async def _open(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    await pool
