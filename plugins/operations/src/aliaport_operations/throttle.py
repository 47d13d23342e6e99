"""Limits on failed sign-ins, against guessing: by user and address, by address, and by user."""

import hashlib
import math
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from aliaport.postgres import Connection
from aliaport_operations.config import ApiConfig

# Counted before the password is checked, so that parallel guesses cannot all slip through.
# A row counts at most one beyond its limit, so that refused attempts do not extend the wait.
_COUNT = """
INSERT INTO aliaport_operations_sign_in_failures AS f (key, failures, since)
SELECT key, 1, now() FROM unnest($1::bytea[]) AS key ORDER BY key
ON CONFLICT (key) DO UPDATE SET
    failures = CASE WHEN f.since < now() - make_interval(secs => $2) THEN 1
                    ELSE f.failures + 1 END,
    since = CASE WHEN f.since < now() - make_interval(secs => $2) THEN now() ELSE f.since END
RETURNING key, failures,
    extract(epoch FROM since + make_interval(secs => $2) - now())::float8 AS rest"""
_UNCOUNT = """
WITH counted AS (
    SELECT key FROM aliaport_operations_sign_in_failures
    WHERE key = ANY($1) ORDER BY key FOR UPDATE
)
UPDATE aliaport_operations_sign_in_failures f
SET failures = CASE WHEN f.key = $2 THEN 0 ELSE greatest(f.failures - 1, 0) END
FROM counted WHERE f.key = counted.key"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to sign in, counted as failed until it succeeds.

    `wait` is the time in seconds until the next one is allowed, 0 if this one is. `first` is true
    for the first one that is refused.
    """

    keys: tuple[bytes, ...]
    wait: int
    first: bool


class Throttle:
    """Counts failed attempts in the database, for all replicas."""

    def __init__(self, options: ApiConfig) -> None:
        self._seconds = options.throttle_minutes * 60
        self._limits = (
            options.failures_per_user_and_address,
            options.failures_per_address,
            options.failures_per_user,
        )

    async def count(self, connection: Connection, user: str, address: str) -> Attempt:
        """Count an attempt. Its `wait` is 0 if it may proceed."""
        network = _network(address)
        keys = tuple(
            hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).digest()
            for parts in (("both", user, network), ("address", network), ("user", user))
        )
        rows = await connection.fetch(_COUNT, list(keys), self._seconds)
        found = {row["key"]: row for row in rows}
        over = [
            (found[key], limit)
            for key, limit in zip(keys, self._limits, strict=True)
            if found[key]["failures"] > limit
        ]
        if not over:
            return Attempt(keys, 0, first=False)
        first = all(row["failures"] == limit + 1 for row, limit in over)
        kept = {row["key"] for row, _ in over} if first else set()
        await connection.execute(_UNCOUNT, [key for key in keys if key not in kept], b"")
        wait = max(1, math.ceil(max(row["rest"] for row, _ in over)))
        return Attempt(keys, wait, first=first)

    async def succeeded(self, connection: Connection, attempt: Attempt) -> None:
        """Remove an attempt that succeeded, and all failures of this user from this address.

        Call it outside any transaction: all sign-ins from one address update the same row.
        """
        await connection.execute(_UNCOUNT, list(attempt.keys), attempt.keys[0])

    async def take_back(self, connection: Connection, attempt: Attempt) -> None:
        """Remove an attempt whose password was not checked."""
        await connection.execute(_UNCOUNT, list(attempt.keys), b"")


def _network(address: str) -> str:
    """Return the address to count by: for IPv6 its /64, since a caller usually owns all of it."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(int(parsed) >> 64)
    return str(parsed)
