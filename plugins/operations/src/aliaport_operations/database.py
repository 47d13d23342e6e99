"""Connections for requests: few, briefly waited for, and the database's faults as answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from aliaport.apps import Context, Refusal
from aliaport.errors import AliaportError
from aliaport.postgres import Connection, Pool
from aliaport_operations.config import ApiConfig
from aliaport_operations.families import SHED
from aliaport_operations.load import LOAD
from aliaport_operations.schema import COMPONENT

_RETRY_AFTER = {"Retry-After": "2"}
_FLEETING = ("08", "25006", "40", "53", "57", "58")
"""SQLSTATEs, or their classes, that say nothing about the statement: ask again later."""


class StatementFault(AliaportError):
    """A statement that the database refuses, which is our fault; its values are left out."""


class Database:
    """Lends a connection to one request at a time. Use it on the HTTP loop only."""

    def __init__(self, context: Context, options: ApiConfig) -> None:
        self._log = context.log
        self._options = options
        self._shed = context.counter(SHED)
        for reason in ("pool", "hashing"):
            self._shed.inc(0, reason=reason)
        self._pool = Pool(
            context,
            component=f"{COMPONENT}_api",
            size=options.pool_size,
            statement_timeout=options.statement_timeout,
            # A plan for any words would scan where one for these words uses the index.
            settings={"plan_cache_mode": "force_custom_plan"},
        )

    async def start(self) -> None:
        """Open the first connection. Raises as `aliaport.postgres.connect` does."""
        await self._pool.start()
        LOAD.begin(self._options.pool_size)

    async def stop(self) -> None:
        """Close all connections."""
        LOAD.end()
        await self._pool.stop()

    def shed(self, reason: str) -> Refusal:
        """The refusal of a request for want of something; counts it."""
        self._shed.inc(reason=reason)
        LOAD.shed()
        text = "there are too many requests at once; try again"
        return Refusal(503, "overloaded", text, headers=_RETRY_AFTER)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for one block.

        Raises Refusal (503) where none is free in time, too many wait already, or the database
        fails within the block.
        """
        if LOAD.used >= self._options.pool_size and LOAD.waiting >= self._options.most_waiting:
            raise self.shed("pool")
        inside = False
        LOAD.waiting += 1
        try:
            async with self._pool.acquire(self._options.acquire_timeout) as connection:
                LOAD.waiting -= 1
                LOAD.used += 1
                inside = True
                # The pool's stand-in has all methods of a connection.
                yield connection  # type: ignore[misc]
        except TimeoutError as error:
            if not inside and LOAD.used >= self._options.pool_size:
                raise self.shed("pool") from None
            raise self._unavailable(error) from None
        except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            raise self._unavailable(error) from None
        except asyncpg.PostgresError as error:
            if not inside or (error.sqlstate or "").startswith(_FLEETING):
                raise self._unavailable(error) from None
            constraint = getattr(error, "constraint_name", None) or "no constraint"
            raise StatementFault(f"{type(error).__name__} ({constraint})") from None
        finally:
            if inside:
                LOAD.used -= 1
            else:
                LOAD.waiting -= 1

    def _unavailable(self, error: Exception) -> Refusal:
        self._log.error("operations.database_failed", reason=type(error).__name__)
        text = "the database does not answer; try again"
        return Refusal(503, "database_unavailable", text, headers=_RETRY_AFTER)
