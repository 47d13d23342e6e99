"""One bounded connection for small questions, replaced on any error and every half minute."""

import asyncio
import time
from typing import Any

import asyncpg

from aliaport.plugin import Context
from aliaport.postgres.connection import Connection, close, connect

REPLACE_AFTER = 30.0
"""Seconds: a password or address that changed is noticed no later than this."""


class QueryTimeout(Exception):
    """The statement took too long, as opposed to the connecting."""


class ReconnectingConnection:
    """One statement at a time on one connection, which is opened when it is first needed.

    Made for probes and collectors: it heals by itself, and a frozen server costs no more than both
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
        """Return the rows. Raises QueryTimeout and whatever `connect` does."""
        async with self._turn:
            return await self._fetch(statement, arguments)

    async def close(self) -> None:
        """Say goodbye to the server, within a moment."""
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
        # Not asyncpg's own timeout: it opens another connection to cancel the statement, which a
        # frozen server would hold.
        work = asyncio.ensure_future(self._connection.fetch(statement, *arguments, timeout=60))
        rows = None
        try:
            done, _ = await asyncio.wait({work}, timeout=self._query_timeout)
            if not done:
                raise QueryTimeout
            rows = list(work.result())
        except asyncpg.QueryCanceledError:  # the server was faster to end it
            raise QueryTimeout from None
        finally:
            if rows is None:
                self._drop(work)
        return rows

    def _drop(self, work: "asyncio.Future[Any]") -> None:
        connection, self._connection = self._connection, None
        work.add_done_callback(lambda each: each.cancelled() or each.exception())
        if connection is not None:
            connection.terminate()
