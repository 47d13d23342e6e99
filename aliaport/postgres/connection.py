"""Connections with timeouts: asyncpg waits 60 s for one, and forever for a response."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, TypeAlias, TypeVar

import asyncpg

from aliaport.plugin import Context
from aliaport.postgres.faults import FAULTS, ConnectTimeout, note_fault
from aliaport.postgres.opening import Opener

STATEMENT_TIMEOUT = 5.0
CLOSE_TIMEOUT = 1.0
"""Defaults, in seconds."""

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
OpenedT = TypeVar("OpenedT")


async def connect(
    context: Context,
    *,
    component: str,
    timeout: float | None = None,
    statement_timeout: float = STATEMENT_TIMEOUT,
    settings: Mapping[str, str] | None = None,
    own_session: bool = False,
) -> Connection:
    """Open one connection within `timeout` seconds; `statement_timeout` bounds each statement.

    Without `timeout`, that of the URL's connect_timeout applies, or CONNECT_TIMEOUT.
    `settings` are additional server settings for this session. With `own_session`, it is refused
    (PoolerError) if a pooler gives each transaction another server session, where session-level
    locks do not hold.

    Each statement is counted in `aliaport_db_query_duration_seconds{component}`. Raises
    TimeoutError, OSError and asyncpg's errors, none of which names the password, and
    UnsupportedDatabaseError for a database that cannot store every character.
    """
    opener = Opener(
        context,
        component=component,
        statement_timeout=statement_timeout,
        settings=settings,
        own_session=own_session,
    )
    timeout = opener.timeout if timeout is None else timeout
    return await opened(opener.open(), timeout, context)


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
        if error.errno is not None or isinstance(error, ConnectTimeout):
            raise
        raise ConnectTimeout(f"no connection within {timeout:g} s") from None  # asyncpg's own limit


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
