"""Finds out whether a pooler is in front of the server, and whether it shares sessions."""

import asyncio
from dataclasses import dataclass
from typing import Any

import asyncpg

from aliaport.errors import AliaportError
from aliaport.postgres.session import Session
from aliaport.settings.database_url import DatabaseUrl

ROUNDS = 6
"""Attempts to see a client change its server session; if no other client interferes, the first one
succeeds."""

WAIT = 1.0
"""Seconds to wait for a second server session of the pooler."""

MAX_KNOWN = 32

_STATEMENT_MODE = "transaction blocks not allowed"
"""Part of the error of PgBouncer in statement mode, which is even less than transaction mode."""

_PID = "SELECT pg_backend_pid()"
_STATE = """
SELECT pg_backend_pid(), (SELECT source FROM pg_settings WHERE name = 'statement_timeout')"""


class PoolerError(AliaportError):
    """A pooler shares server sessions, but the work needs a session of its own."""


@dataclass(frozen=True, slots=True)
class Server:
    """The known properties of the server behind a URL.

    `accepts_settings` is False if they must be set after connecting. `pooled` is True behind a
    pooler, and `shared` if it gives each transaction another server session: nothing of a session
    lasts there.
    """

    accepts_settings: bool = True
    pooled: bool = False
    shared: bool = False


def shared_session(component: str) -> str:
    """Return the text of a PoolerError."""
    return (
        f"{component} needs a server session of its own, but DATABASE_URL leads to a pooler that "
        "gives each transaction another one (pool_mode=transaction); use a URL of the server "
        "itself, or of a pool with pool_mode=session"
    )


_known: dict[DatabaseUrl, Server] = {}


def known(url: DatabaseUrl) -> Server | None:
    """Return what this process has learned about the server of a URL."""
    return _known.get(url)


def remember(url: DatabaseUrl, server: Server) -> None:
    """Keep what was learned for later connections."""
    _known[url] = server
    while len(_known) > MAX_KNOWN:
        _known.pop(next(iter(_known)), None)


def forget(url: DatabaseUrl) -> None:
    """Examine the server again with the next connection."""
    _known.pop(url, None)


async def ask(session: Session, query: str) -> list[str]:
    """Return the only row of a query that leaves no prepared statement, in one round trip."""
    row = bytearray()

    async def take(data: bytes) -> None:
        row.extend(data)

    await session.copy_from_query(query, output=take)
    return row.decode().rstrip("\n").split("\t")


async def server_pid(session: Session) -> int:
    """Return the process that serves the session now, which a pooler may change."""
    (pid,) = await ask(session, _PID)
    return int(pid)


async def examine(session: Session) -> tuple[bool, bool]:
    """Return whether a pooler is in between, and whether the settings of the start are in force.

    A pooler that multiplexes invents the process ID that it reports to its clients.
    """
    pid, source = await ask(session, _STATE)
    return int(pid) != session.get_server_pid(), source in ("client", "session")


async def shares_sessions(session: Session, other: Session) -> bool:
    """Return whether the pooler shares its server sessions among clients between transactions.

    `other` holds a server session with a transaction, while `session` is idle. If the pooler shares
    them, a client sees two server sessions, both clients see the same one, or the first client
    must wait. Leaves both connections unusable if it returns True.
    """
    own: set[int] = set()
    held: set[int] = set()
    for _ in range(ROUNDS):
        # The pooler gives out first what came back last: here what `other` has just given back.
        own.add(await server_pid(session))
        holding = asyncio.ensure_future(_hold(other))
        probing: asyncio.Future[int] | None = None
        try:
            await asyncio.wait({holding}, timeout=WAIT)
            if holding.done() and _allows_transactions(holding):
                held.add(holding.result())
                if len(held) > 1 or held & own:
                    return True
            probing = asyncio.ensure_future(server_pid(session))
            await asyncio.wait({probing}, timeout=WAIT)
            if not probing.done():
                return True
            own.add(probing.result())
            if len(own) > 1 or not holding.done():
                # Without a session for the second client, the first one was served by its own.
                return len(own) > 1
            if not _allows_transactions(holding):
                return True
            await other.execute("ROLLBACK")
        finally:
            for work in filter(None, (holding, probing)):
                work.add_done_callback(_retrieve)
                work.cancel()
    return False


def _allows_transactions(holding: "asyncio.Future[int]") -> bool:
    """Return False if the pooler refused a transaction; raise any other error."""
    error = holding.exception()
    if error is None:
        return True
    if isinstance(error, asyncpg.PostgresError) and _STATEMENT_MODE in str(error):
        return False
    raise error


async def _hold(session: Session) -> int:
    await session.execute("BEGIN")
    return await server_pid(session)


def _retrieve(done: "asyncio.Future[Any]") -> None:
    if not done.cancelled():
        done.exception()
