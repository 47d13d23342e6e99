"""One leader among replicas: who holds a session's advisory lock."""

import hashlib
from typing import Any

import asyncpg

from aliaport.plugin import Context
from aliaport.postgres.connection import Connection, close, connect

_LOST = (
    *(OSError, TimeoutError),
    *(asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError),
)


class Leader:
    """Asks for the lock of a name on a connection of its own.

    PostgreSQL frees the lock when it notices that the session is gone. A leader that is cut off
    learns it at its next `holds`; so ask right before each act, and let acts be safe to repeat.
    """

    def __init__(self, context: Context, *, name: str, component: str) -> None:
        self._context = context
        self._component = component
        self._key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        self._connection: Connection[asyncpg.Record] | None = None

    async def holds(self, timeout: float = 2.0) -> bool:
        """Whether this replica leads now; becomes the leader where nobody else is.

        Takes at most twice `timeout` seconds. Raises as `connect` does where the database cannot be
        asked: then nobody should act.
        """
        if self._connection is not None:
            try:
                await self._connection.execute("SELECT 1", timeout=timeout)
            except _LOST:
                await self.release()
            else:
                return True
        connection = await connect(self._context, component=self._component, timeout=timeout)
        held: Any = False
        try:
            held = await connection.fetchval(
                "SELECT pg_try_advisory_lock($1)", self._key, timeout=timeout
            )
        finally:
            if held:
                self._connection = connection
            else:
                await close(connection)
        return bool(held)

    async def release(self) -> None:
        """Let another replica lead; takes at most a second."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await close(connection)
