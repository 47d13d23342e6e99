"""Administration of users, audited before the change is committed."""

from dataclasses import dataclass
from datetime import datetime

from aliaport.errors import AliaportError
from aliaport.plugin import Context
from aliaport.postgres import Connection
from aliaport_operations.sessions import end_sessions
from aliaport_operations.users import Role, User, add_user, find_user, set_password

_LIST = "SELECT name, role, created_at, disabled_at FROM aliaport_operations_users ORDER BY name"
_DISABLE = "UPDATE aliaport_operations_users SET disabled_at = now() WHERE id = $1"
_ENABLE = "UPDATE aliaport_operations_users SET disabled_at = NULL WHERE id = $1"
_SET_ROLE = "UPDATE aliaport_operations_users SET role = $2 WHERE id = $1"
_SESSIONS = """
SELECT address, created_at, last_used_at, expires_at FROM aliaport_operations_sessions
WHERE user_id = $1 AND ended_at IS NULL AND expires_at > now() ORDER BY created_at"""


@dataclass(frozen=True, slots=True)
class ListedUser:
    """A user in a list."""

    name: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class ListedSession:
    """A session that has not ended; it may still have been idle for too long."""

    address: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


class Administration:
    """Changes users on behalf of `operator`. Raises AliaportError if a user does not exist."""

    def __init__(self, context: Context, connection: Connection, operator: str) -> None:
        self._audit = context.audit
        self._connection = connection
        self._operator = operator

    async def add(self, name: str, role: Role, password_hash: str) -> None:
        """Add a user."""
        async with self._connection.transaction():
            await add_user(self._connection, name, role, password_hash)
            await self._record("user.added", name, role=role)

    async def users(self) -> list[ListedUser]:
        """Return all users."""
        rows = await self._connection.fetch(_LIST)
        return [ListedUser(**row) for row in rows]

    async def disable(self, name: str) -> int:
        """Disable a user; return how many sessions were ended."""
        user = await self._user(name)
        async with self._connection.transaction():
            await self._connection.execute(_DISABLE, user.id)
            ended = await end_sessions(self._connection, user.id)
            await self._record("user.disabled", name, ended_sessions=ended)
        return ended

    async def enable(self, name: str) -> None:
        """Enable a disabled user."""
        user = await self._user(name)
        async with self._connection.transaction():
            await self._connection.execute(_ENABLE, user.id)
            await self._record("user.enabled", name)

    async def set_role(self, name: str, role: Role) -> None:
        """Change a user's role, effective with the next request."""
        user = await self._user(name)
        async with self._connection.transaction():
            await self._connection.execute(_SET_ROLE, user.id, role)
            await self._record("user.role_changed", name, role=role)

    async def reset(self, name: str, password_hash: str) -> int:
        """Set a new password; return how many sessions were ended."""
        user = await self._user(name)
        async with self._connection.transaction():
            await set_password(self._connection, user.id, password_hash)
            ended = await end_sessions(self._connection, user.id)
            await self._record("user.password_reset", name, ended_sessions=ended)
        return ended

    async def sessions(self, name: str) -> list[ListedSession]:
        """Return a user's sessions."""
        user = await self._user(name)
        rows = await self._connection.fetch(_SESSIONS, user.id)
        return [ListedSession(**row) for row in rows]

    async def end_sessions(self, name: str) -> int:
        """End a user's sessions; return how many were open."""
        user = await self._user(name)
        async with self._connection.transaction():
            ended = await end_sessions(self._connection, user.id)
            await self._record("user.sessions_ended", name, ended_sessions=ended)
        return ended

    async def _user(self, name: str) -> User:
        user = await find_user(self._connection, name)
        if user is None:
            raise AliaportError(f"there is no user {name!r}; list all users with `user list`")
        return user

    async def _record(self, action: str, user: str, **fields: object) -> None:
        await self._audit.arecord(action, user=user, operator=self._operator, **fields)
