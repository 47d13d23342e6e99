"""Database connections for requests: few, with a short wait; failures become 503 responses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from aliaport.apps import Context, Refusal
from aliaport.errors import AliaportError
from aliaport.postgres import Connection, Pool, explain
from aliaport_operations.config import ApiConfig
from aliaport_operations.families import SHED
from aliaport_operations.saturation import SATURATION
from aliaport_operations.schema import COMPONENT

_RETRY_AFTER = {"Retry-After": "2"}
_TRANSIENT = ("08", "25006", "40", "53", "55P03", "57", "58")
"""SQLSTATEs, or their classes, that do not depend on the statement: retrying may help."""


class StatementError(AliaportError):
    """The database rejected a statement, which is a bug. The message contains no values."""


class Database:
    """A pool of connections, each used by one request at a time. Use it on the HTTP loop only."""

    def __init__(self, context: Context, options: ApiConfig) -> None:
        self._context = context
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
            # A generic plan would scan the table where a plan for the actual words uses the index.
            settings={"plan_cache_mode": "force_custom_plan"},
        )

    async def start(self) -> None:
        """Open the first connection. Raises as `aliaport.postgres.connect` does."""
        await self._pool.start()
        SATURATION.begin(self._options.pool_size)

    async def stop(self) -> None:
        """Close all connections."""
        SATURATION.end()
        await self._pool.stop()

    def shed(self, reason: str) -> Refusal:
        """Count a request refused for lack of `reason`, and return its error."""
        self._shed.inc(reason=reason)
        SATURATION.shed()
        text = "too many requests at the same time; try again"
        return Refusal(503, "overloaded", text, headers=_RETRY_AFTER)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Acquire a connection for one block.

        Raises Refusal (503) if none is free in time, too many requests are waiting, or the
        database fails within the block.
        """
        if (
            SATURATION.used >= self._options.pool_size
            and SATURATION.waiting >= self._options.max_waiting
        ):
            raise self.shed("pool")
        inside = False
        SATURATION.waiting += 1
        try:
            async with self._pool.acquire(self._options.acquire_timeout) as connection:
                SATURATION.waiting -= 1
                SATURATION.used += 1
                inside = True
                # The pool's proxy has all methods of a connection.
                yield connection  # type: ignore[misc]
        except TimeoutError as error:
            if not inside and SATURATION.used >= self._options.pool_size:
                raise self.shed("pool") from None
            raise self._unavailable(error) from None
        except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            raise self._unavailable(error) from None
        except asyncpg.InvalidCachedStatementError as error:
            # A column has changed since the statement was prepared, and the transaction is lost.
            raise self._unavailable(error) from None
        except asyncpg.PostgresError as error:
            if not inside or (error.sqlstate or "").startswith(_TRANSIENT):
                raise self._unavailable(error) from None
            constraint = getattr(error, "constraint_name", None) or "no constraint"
            raise StatementError(f"{type(error).__name__} ({constraint})") from None
        finally:
            if inside:
                SATURATION.used -= 1
            else:
                SATURATION.waiting -= 1

    def _unavailable(self, error: Exception) -> Refusal:
        fault = explain(error, self._context)
        self._log.error("operations.database_failed", reason=type(error).__name__, **fault.fields)
        if fault.code == "statement_timeout":
            SATURATION.timed_out(fault.text)
            text = "the database took too long; try again"
            return Refusal(503, "statement_timeout", text, headers=_RETRY_AFTER)
        text = "the database is not available; try again"
        return Refusal(503, "database_unavailable", text, headers=_RETRY_AFTER)
