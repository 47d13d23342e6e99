"""One leader among replicas: the one that holds a session-level advisory lock."""

import hashlib

from aliaport.plugin import Context
from aliaport.postgres.connection import FAULTS, Connection, close, connect


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
        self._settings = {"idle_session_timeout": str(round(lease * 1000))}
        self._connection: Connection | None = None
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
        cannot be reached: then no replica should act.
        """
        if self._connection is not None:
            try:
                return await self._confirm(self._connection, timeout)
            except FAULTS:
                await self.release()
        connection = await connect(
            self._context, component=self._component, timeout=timeout, settings=self._settings
        )
        self._connection = connection
        return await self._confirm(connection, timeout)

    async def release(self) -> None:
        """Stop leading, so that another replica can; takes at most a second."""
        connection, self._connection, self._leads = self._connection, None, False
        if connection is not None:
            await close(connection)

    async def _confirm(self, connection: Connection, timeout: float) -> bool:
        if self._leads:
            await connection.execute("SELECT 1", timeout=timeout)
        else:
            self._leads = await connection.fetchval(
                "SELECT pg_try_advisory_lock($1)", self._key, timeout=timeout
            )
        return self._leads
