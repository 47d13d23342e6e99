"""Connections with timeouts: asyncpg waits 60 s for one, and forever for a response."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, TypeAlias, TypeVar

import asyncpg

from aliaport.contract.families import DB_QUERY_DURATION
from aliaport.plugin import Context
from aliaport.postgres.arguments import connect_arguments, connect_timeout, database_url
from aliaport.postgres.faults import ConnectTimeout, note_fault

CONNECT_TIMEOUT = 3.0
STATEMENT_TIMEOUT = 5.0
CLOSE_TIMEOUT = 1.0
"""Defaults, in seconds."""

FAULTS = (
    *(OSError, TimeoutError),
    *(asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError),
)
"""Exceptions of connecting and of statements if the database fails or refuses."""

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
OpenedT = TypeVar("OpenedT")


def server_settings(component: str, statement_timeout: float) -> dict[str, str]:
    """Return the server settings of a connection: a name, and timeouts that stop abandoned work.

    Without the keepalives, the server would hold the locks of a vanished machine for two hours.
    """
    return {
        "application_name": f"aliaport-{component}",
        "statement_timeout": str(round(statement_timeout * 1000)),
        "idle_in_transaction_session_timeout": "60000",
        "client_connection_check_interval": "2000",
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
    }


async def connect(
    context: Context,
    *,
    component: str,
    timeout: float | None = None,
    statement_timeout: float = STATEMENT_TIMEOUT,
    settings: Mapping[str, str] | None = None,
) -> Connection:
    """Open one connection within `timeout` seconds; `statement_timeout` bounds each statement.

    Without `timeout`, that of the URL's connect_timeout applies, or CONNECT_TIMEOUT.
    `settings` are additional server settings for this session.

    Each statement is counted in `aliaport_db_query_duration_seconds{component}`. Raises
    TimeoutError, OSError and asyncpg's errors, none of which names the password.
    """
    url = database_url(context)
    timeout = connect_timeout(url, CONNECT_TIMEOUT) if timeout is None else timeout

    async def connecting() -> Connection:
        given = {**server_settings(component, statement_timeout), **(settings or {})}
        arguments = connect_arguments(url, given)
        found: Connection = await asyncpg.connect(
            **arguments, timeout=timeout, command_timeout=statement_timeout
        )
        return found

    connection = await opened(connecting(), timeout, context)
    time_statements(connection, context, component)
    return connection


async def opened(opening: Awaitable[OpenedT], timeout: float, context: Context) -> OpenedT:
    """Return the connection or pool that opens within `timeout` seconds.

    If its caller is cancelled or the time is over, it is given up, and terminated should it open
    all the same. Raises ConnectTimeout and the errors of opening, with the cause as a note.
    """
    work = asyncio.ensure_future(opening)
    try:
        return await _within(work, timeout)
    except FAULTS as error:
        note_fault(error, context)
        raise


async def _within(work: "asyncio.Future[OpenedT]", timeout: float) -> OpenedT:
    try:
        # A DNS lookup that gets no response outlives asyncpg's own timeout: its thread cannot be
        # cancelled, so we do not wait for it.
        done, _ = await asyncio.wait({work}, timeout=timeout)
        if not done:
            raise ConnectTimeout(f"no connection within {timeout:g} s")
    except (ConnectTimeout, asyncio.CancelledError):
        work.cancel()
        work.add_done_callback(_discard)
        raise
    try:
        return work.result()
    except TimeoutError as error:
        if error.errno is not None:
            raise
        raise ConnectTimeout(f"no connection within {timeout:g} s") from None  # asyncpg's own limit


def time_statements(connection: Connection, context: Context, component: str) -> None:
    """Record the duration of each statement of a connection in the shared histogram."""
    histogram = context.histogram(DB_QUERY_DURATION)

    def observe(record: Any) -> None:
        histogram.observe(record.elapsed, component=component)

    connection.add_query_logger(observe)


async def close(connection: Connection, timeout: float = CLOSE_TIMEOUT) -> None:
    """Close within `timeout` seconds; drop the connection if the server does not respond."""
    work = asyncio.ensure_future(connection.close(timeout=timeout))
    try:
        await asyncio.wait({work}, timeout=timeout)
    finally:
        work.add_done_callback(_discard)
        if not work.done() or work.exception() is not None:
            work.cancel()
            connection.terminate()


def _discard(work: "asyncio.Future[Any]") -> None:
    """Discard the result of abandoned work; if it is open, terminate it."""
    if work.cancelled() or work.exception() is not None:
        return
    found = work.result()
    if found is not None:
        found.terminate()
