"""Users in the database, and their roles."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import asyncpg

from aliaport.errors import AliaportError
from aliaport.postgres import Connection

NAME = re.compile(r"[a-z][a-z0-9._-]{1,31}")
NOBODY = "unknown"
"""Name used in the audit log for unknown users; no user can have it."""

_BY_NAME = """
SELECT id, name, role, password_hash, password_changed_at, disabled_at
FROM aliaport_operations_users WHERE name = $1"""
_ADD = "INSERT INTO aliaport_operations_users (name, role, password_hash) VALUES ($1, $2, $3)"
_REPLACE_HASH = """
UPDATE aliaport_operations_users SET password_hash = $2, password_changed_at = now()
WHERE id = $1 AND ($3::text IS NULL OR password_hash = $3)"""
_RENEW_HASH = """
UPDATE aliaport_operations_users SET password_hash = $3 WHERE id = $1 AND password_hash = $2"""


class Role(StrEnum):
    """Role of a user. A clerk can do all that a viewer can, an admin all that a clerk can."""

    VIEWER = "viewer"
    """Reads everything, with personal data masked."""

    CLERK = "clerk"
    """Sees personal data, and writes accounts, work orders and gate logs."""

    ADMIN = "admin"
    """Activates and deactivates accounts. Users are managed on the command line only."""

    def covers(self, other: "Role") -> bool:
        """Return whether this role may do everything that `other` may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(other)


@dataclass(frozen=True, slots=True)
class User:
    """A user as stored."""

    id: int
    name: str
    role: Role
    password_hash: str
    password_changed_at: datetime
    disabled_at: datetime | None


async def find_user(connection: Connection, name: str) -> User | None:
    """Return the user with this name, or None."""
    row = await connection.fetchrow(_BY_NAME, name)
    if row is None:
        return None
    return User(
        row["id"],
        row["name"],
        Role(row["role"]),
        row["password_hash"],
        row["password_changed_at"],
        row["disabled_at"],
    )


async def add_user(connection: Connection, name: str, role: Role, password_hash: str) -> None:
    """Add a user. Raises AliaportError if the name is taken."""
    try:
        await connection.execute(_ADD, name, role, password_hash)
    except asyncpg.UniqueViolationError:
        raise AliaportError(f"user {name!r} already exists; choose another name") from None


async def set_password(
    connection: Connection, user: int, password_hash: str, *, instead_of: str | None = None
) -> bool:
    """Set a password; return False if the stored hash is no longer `instead_of`."""
    done = await connection.execute(_REPLACE_HASH, user, password_hash, instead_of)
    return done == "UPDATE 1"


async def renew_hash(connection: Connection, user: User, password_hash: str) -> None:
    """Store the same password, hashed with the current parameters."""
    await connection.execute(_RENEW_HASH, user.id, user.password_hash, password_hash)
