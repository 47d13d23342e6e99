"""One bounded connection, replaced on any error and every half minute."""

import asyncio
import time
from typing import Any

import asyncpg

from aliaport import postgres
from aliaport.plugin import Context
from aliaport_db.faults import QueryTimeout

REPLACE_AFTER = 30.0
"""Seconds: a password or address that changed is noticed no later than this."""


class Link:
    """One statement at a time on one connection, which is opened when it is first needed."""

    def __init__(self, context: Context, connect_timeout: float, query_timeout: float) -> None:
        self._context = context
        self._connect_timeout = connect_timeout
        self._query_timeout = query_timeout
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._opened = 0.0

    async def fetch(self, statement: str) -> list[Any]:
        """Return the rows. Raises QueryTimeout and whatever `aliaport.postgres.connect` does."""
        if self._connection is not None and time.monotonic() - self._opened > REPLACE_AFTER:
            await self.close()
        if self._connection is None:
            self._connection = await postgres.connect(
                self._context,
                component="db",
                timeout=self._connect_timeout,
                statement_timeout=self._query_timeout,
            )
            self._opened = time.monotonic()
        # Not asyncpg's own timeout: it opens another connection to cancel the statement, which a
        # frozen server would hold.
        work = asyncio.ensure_future(self._connection.fetch(statement, timeout=60))
        try:
            done, _ = await asyncio.wait({work}, timeout=self._query_timeout)
            if not done:
                raise QueryTimeout
            return list(work.result())
        except BaseException:
            self._drop(work)
            raise

    async def close(self) -> None:
        """Say goodbye to the server, within a moment."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await postgres.close(connection, timeout=0.1)

    def _drop(self, work: "asyncio.Future[Any]") -> None:
        connection, self._connection = self._connection, None
        work.add_done_callback(lambda each: each.cancelled() or each.exception())
        if connection is not None:
            connection.terminate()
