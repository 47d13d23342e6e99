"""Sessions, identified by random tokens; the database stores only their hashes."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from aliaport.apps import Refusal
from aliaport.postgres import Connection
from aliaport_operations.config import ApiConfig
from aliaport_operations.users import Role

TOUCH_INTERVAL = 30
"""Seconds between updates of a session's last use, so that not every request writes."""

# The lock makes a concurrent disable or password change wait, so that it sees this session.
_BEGIN = """
INSERT INTO aliaport_operations_sessions (token_hash, user_id, address, expires_at)
SELECT $1, id, $3, now() + make_interval(secs => $4)
FROM aliaport_operations_users WHERE id = $2 AND disabled_at IS NULL AND password_changed_at = $5
FOR NO KEY UPDATE
RETURNING expires_at"""
_FIND = """
SELECT u.id, u.name, u.role, s.created_at, s.expires_at,
       s.last_used_at < now() - make_interval(secs => $3) AS stale
FROM aliaport_operations_sessions s JOIN aliaport_operations_users u ON u.id = s.user_id
WHERE s.token_hash = $1 AND s.ended_at IS NULL AND s.expires_at > now()
  AND s.last_used_at > now() - make_interval(secs => $2) AND u.disabled_at IS NULL"""
_TOUCH = """
UPDATE aliaport_operations_sessions SET last_used_at = now()
WHERE token_hash = $1 AND last_used_at < now() - make_interval(secs => $2)"""
_END = """
UPDATE aliaport_operations_sessions SET ended_at = now()
WHERE token_hash = $1 AND ended_at IS NULL"""
_END_ALL = """
UPDATE aliaport_operations_sessions SET ended_at = now()
WHERE user_id = $1 AND ended_at IS NULL AND expires_at > now() AND token_hash <> $2"""


@dataclass(frozen=True, slots=True)
class Caller:
    """A signed-in user; `token_hash` identifies the session."""

    id: int
    name: str
    role: Role
    token_hash: bytes
    signed_in_at: datetime
    expires_at: datetime

    @property
    def sees_personal_data(self) -> bool:
        """True if plates, drivers, contacts and tax numbers are shown unmasked."""
        return self.role.covers(Role.CLERK)

    def check_search_by(self, field: str) -> None:
        """Raise Refusal (403) if `field` is masked for this caller."""
        if not self.sees_personal_data:
            raise forbidden(f"viewers cannot search by {field}")


class Sessions:
    """Starts and finds sessions, by the database's clock, which all replicas share."""

    def __init__(self, options: ApiConfig) -> None:
        self.max_idle = options.idle_minutes * 60
        """Seconds."""
        self._max_age = options.session_hours * 3600

    async def begin(
        self, connection: Connection, user: int, changed_at: datetime, address: str
    ) -> tuple[str, datetime] | None:
        """Start a session and return its token and expiry.

        Return None if the user was disabled or got a new password after `changed_at`.
        """
        token = secrets.token_urlsafe(32)
        expires = await connection.fetchval(
            _BEGIN, _hash(token), user, address, self._max_age, changed_at
        )
        return None if expires is None else (token, expires)

    async def caller(self, connection: Connection, authorization: str) -> Caller:
        """Return the user that the token belongs to. Raises Refusal (401)."""
        kind, _, token = authorization.partition(" ")
        token = token.strip()
        row = None
        token_hash = b""
        if kind.lower() == "bearer" and 0 < len(token) <= 200 and token.isascii():
            token_hash = _hash(token)
            row = await connection.fetchrow(_FIND, token_hash, self.max_idle, float(TOUCH_INTERVAL))
        if row is None:
            raise Refusal(
                401,
                "not_signed_in",
                "sign in with POST /auth/login, then send `Authorization: Bearer <token>`",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if row["stale"]:
            await connection.execute(_TOUCH, token_hash, float(TOUCH_INTERVAL))
        return Caller(
            row["id"],
            row["name"],
            Role(row["role"]),
            token_hash,
            row["created_at"],
            row["expires_at"],
        )


def forbidden(text: str) -> Refusal:
    """Return the error for a request that the caller's role does not allow."""
    return Refusal(403, "forbidden", text)


async def end_session(connection: Connection, caller: Caller) -> None:
    """Sign the caller out."""
    await connection.execute(_END, caller.token_hash)


async def end_sessions(connection: Connection, user: int, *, keep: bytes = b"") -> int:
    """End a user's sessions except the one with the hash `keep`; return how many were open."""
    done = await connection.execute(_END_ALL, user, keep)
    return int(done.rpartition(" ")[2])


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
