"""A connection for small queries, replaced on any error and every half minute."""

import asyncio
import time
from typing import Any

import asyncpg

from aliaport.plugin import Context
from aliaport.postgres.connection import Connection, close, connect
from aliaport.postgres.faults import QueryTimeout

REPLACE_AFTER = 30.0
"""Seconds: a changed password or address takes effect after this time at the latest."""


class ReconnectingConnection:
    """One statement at a time on one connection, which is opened when it is first needed.

    For probes and collectors: it reconnects after errors, and a frozen server costs at most both
    timeouts, in seconds. A second caller waits for the first.
    """

    def __init__(
        self, context: Context, *, component: str, connect_timeout: float, query_timeout: float
    ) -> None:
        self._context = context
        self._component = component
        self._connect_timeout = connect_timeout
        self._query_timeout = query_timeout
        self._connection: Connection | None = None
        self._opened = 0.0
        self._turn = asyncio.Lock()

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        """Return the rows. Raises QueryTimeout and the errors of `connect`."""
        async with self._turn:
            return await self._fetch(statement, arguments)

    async def close(self) -> None:
        """Close the connection within 0.1 s."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await close(connection, timeout=0.1)

    async def _fetch(self, statement: str, arguments: tuple[Any, ...]) -> list[Any]:
        if self._connection is not None and time.monotonic() - self._opened > REPLACE_AFTER:
            await self.close()
        if self._connection is None:
            self._connection = await connect(
                self._context,
                component=self._component,
                timeout=self._connect_timeout,
                statement_timeout=self._query_timeout,
            )
            self._opened = time.monotonic()
        # Not asyncpg's own timeout: it cancels the statement over another connection, which would
        # hang on a frozen server.
        work = asyncio.ensure_future(self._connection.fetch(statement, *arguments, timeout=60))
        rows = None
        try:
            done, _ = await asyncio.wait({work}, timeout=self._query_timeout)
            if not done:
                raise QueryTimeout
            rows = list(work.result())
        except asyncpg.QueryCanceledError:  # the server cancelled it first
            raise QueryTimeout from None
        finally:
            if rows is None:
                self._drop(work)
        return rows

    def _drop(self, work: "asyncio.Future[Any]") -> None:
        connection, self._connection = self._connection, None
        work.add_done_callback(lambda done: done.cancelled() or done.exception())
        if connection is not None:
            connection.terminate()
