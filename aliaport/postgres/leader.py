"""One leader among replicas: who holds a session's advisory lock."""

import hashlib

from aliaport.plugin import Context
from aliaport.postgres.connection import FAULTS, Connection, close, connect


class Leader:
    """Asks for the lock of a name on a connection of its own.

    PostgreSQL frees the lock when the session is gone: at once where the process died, within 25 s
    where its machine vanished, and after `lease` seconds without a question where it is frozen. So
    ask `holds` right before each act, more often than that. Who writes through `session` cannot
    write after another replica has taken over: the lock is lost with that session.
    """

    def __init__(self, context: Context, *, name: str, component: str, lease: float = 60.0) -> None:
        self._context = context
        self._component = component
        self._key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        self._settings = {"idle_session_timeout": str(round(lease * 1000))}
        self._connection: Connection | None = None
        self._leads = False

    @property
    def leads(self) -> bool:
        """Whether the last question was answered with yes."""
        return self._leads

    @property
    def session(self) -> Connection:
        """The connection that holds the lock. Raises RuntimeError unless `holds` said yes."""
        if self._connection is None or not self._leads:
            raise RuntimeError("this replica does not lead; ask holds() first")
        return self._connection

    async def holds(self, timeout: float = 2.0) -> bool:
        """Whether this replica leads now; becomes the leader where nobody else is.

        Takes at most three times `timeout` seconds. Raises as `connect` does where the database
        cannot be asked: then nobody should act.
        """
        if self._connection is not None:
            try:
                return await self._ask(self._connection, timeout)
            except FAULTS:
                await self.release()
        connection = await connect(
            self._context, component=self._component, timeout=timeout, settings=self._settings
        )
        self._connection = connection
        return await self._ask(connection, timeout)

    async def release(self) -> None:
        """Let another replica lead; takes at most a second."""
        connection, self._connection, self._leads = self._connection, None, False
        if connection is not None:
            await close(connection)

    async def _ask(self, connection: Connection, timeout: float) -> bool:
        if self._leads:
            await connection.execute("SELECT 1", timeout=timeout)
        else:
            self._leads = await connection.fetchval(
                "SELECT pg_try_advisory_lock($1)", self._key, timeout=timeout
            )
        return self._leads
