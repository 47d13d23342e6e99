"""One leader among replicas: the one that holds a session-level advisory lock."""

import hashlib

from aliaport.errors import AliaportError
from aliaport.plugin import Context
from aliaport.postgres import poolers
from aliaport.postgres.arguments import database_url
from aliaport.postgres.connection import STATEMENT_TIMEOUT, Connection, close, opened
from aliaport.postgres.faults import FAULTS
from aliaport.postgres.opening import Opener
from aliaport.postgres.poolers import PoolerError, shared_session
from aliaport.postgres.session import Session

_TRY = """
SELECT pg_backend_pid() <> $2 AS shared,
       CASE WHEN pg_backend_pid() = $2 THEN pg_try_advisory_lock($1) ELSE false END AS held"""
_HOLDS = """
SELECT pg_backend_pid() <> $2 AS shared, EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND pid = $2 AND granted AND objsubid = 1
      AND classid = (($1::bigint >> 32) & 4294967295)::oid
      AND objid = ($1::bigint & 4294967295)::oid) AS held"""
"""Statements that notice a pooler that has begun to share its sessions, and never lock one."""


class Leader:
    """Acquires the lock of a name on its own connection.

    PostgreSQL frees the lock when the session ends: at once if the process died, within 25 s if its
    machine vanished, and after `lease` seconds without a statement if the process is frozen. So
    call `holds` right before each action, and more often than every `lease` seconds. Writes through
    `session` cannot happen after another replica has taken over: the lock is lost with the session.
    """

    def __init__(self, context: Context, *, name: str, component: str, lease: float = 60.0) -> None:
        self._context = context
        self._component = component
        self._key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        self._opener = Opener(
            context,
            component=component,
            statement_timeout=STATEMENT_TIMEOUT,
            settings={"idle_session_timeout": str(round(lease * 1000))},
            own_session=True,
        )
        self._connection: Session | None = None
        self._leads = False

    @property
    def leads(self) -> bool:
        """True if the last check confirmed that this replica leads."""
        return self._leads

    @property
    def session(self) -> Connection:
        """The connection that holds the lock. Raises RuntimeError unless `holds` returned True."""
        if self._connection is None or not self._leads:
            raise RuntimeError("this replica does not lead; call holds() first")
        return self._connection

    async def holds(self, timeout: float = 2.0) -> bool:
        """Return whether this replica leads now; become the leader if there is none.

        Takes at most three times `timeout` seconds. Raises the errors of `connect` if the database
        cannot be reached, and PoolerError if a pooler in between shares server sessions, where the
        lock would protect nothing: then no replica should act. If the URL has changed, the lock is
        released, and acquired again over a new connection, as soon as the new URL works.
        """
        if self._connection is not None:
            try:
                held = await self._confirm(self._connection, timeout)
            except FAULTS:
                await self.release()
            else:
                replacement = await self._replacement(timeout)
                if replacement is None:
                    return held
                await self.release()
                self._connection = replacement
                return await self._confirm(replacement, timeout)
        self._connection = await opened(self._opener.open(), timeout, self._context)
        return await self._confirm(self._connection, timeout)

    async def release(self) -> None:
        """Stop leading, so that another replica can; takes at most a second."""
        connection, self._connection, self._leads = self._connection, None, False
        if connection is not None:
            await close(connection)

    async def _replacement(self, timeout: float) -> Session | None:
        if self._opener.is_current:
            return None
        try:
            opening = self._opener.open_at(database_url(self._context))
            return await opened(opening, timeout, self._context)
        except (AliaportError, *FAULTS):
            return None  # not yet: the open connection serves

    async def _confirm(self, session: Session, timeout: float) -> bool:
        statement = _HOLDS if self._leads else _TRY
        row = await session.fetchrow(statement, self._key, session.own_pid, timeout=timeout)
        assert row is not None
        self._leads = row["held"]
        if row["shared"]:
            poolers.forget(database_url(self._context))
            await self.release()
            raise PoolerError(shared_session(self._component))
        return self._leads
