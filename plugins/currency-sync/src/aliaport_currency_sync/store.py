"""Stores bulletins and records days without one. Every write is safe to repeat."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum

from aliaport.postgres import Connection
from aliaport_currency_sync.bulletin import Bulletin
from aliaport_currency_sync.business_days import BusinessDays

_LOCK = 0x616C6961
"""Advisory lock of the transaction, so that writers (a handful of writes a day) take turns."""

_LATEST = """
SELECT revision, digest FROM aliaport_currency_bulletins
WHERE day = $1 ORDER BY revision DESC LIMIT 1"""
_FLAG_JUMPS = """
WITH latest AS (
    SELECT day, max(revision) AS revision FROM aliaport_currency_bulletins
    WHERE day IN ($1, (SELECT max(day) FROM aliaport_currency_bulletins
                       WHERE day < $1 AND day >= $3))
    GROUP BY day
), compared AS (
    SELECT day, revision, code, round(100 * (now.price / before.price) - 100, 2) AS percent
    FROM (SELECT day, revision, code, forex_buying / unit AS price
          FROM latest JOIN aliaport_currency_rates USING (day, revision) WHERE day = $1) now
    JOIN (SELECT code, forex_buying / unit AS price
          FROM latest JOIN aliaport_currency_rates USING (day, revision)
          WHERE day < $1) before USING (code)
)
UPDATE aliaport_currency_rates r
SET jump_percent = CASE WHEN abs(c.percent) > $2 THEN c.percent END
FROM compared c WHERE (r.day, r.revision, r.code) = (c.day, c.revision, c.code)
RETURNING r.code, r.jump_percent"""
_NEXT = "SELECT min(day) FROM aliaport_currency_bulletins WHERE day > $1"
_RATE_COLUMNS = (
    "day", "revision", "code", "unit", "name", "name_en", "forex_buying", "forex_selling",
    "banknote_buying", "banknote_selling", "cross_rate_usd", "cross_rate_other",
)  # fmt: skip


class Change(Enum):
    """Effects of storing a bulletin."""

    NOTHING = "nothing"
    ADDED = "added"
    REVISED = "revised"


@dataclass(frozen=True, slots=True)
class Stored:
    """The stored revision (1 or higher), and the jumps in percent by day and currency."""

    change: Change
    revision: int
    jumps: Mapping[date, Mapping[str, Decimal]] = field(default_factory=dict)


async def store(
    connection: Connection,
    bulletin: Bulletin,
    *,
    days: BusinessDays,
    jump_percent: Decimal,
    now: datetime,
) -> Stored:
    """Store a bulletin in one transaction; do nothing if its newest revision is the same.

    Older revisions are kept. Flag the rates that changed by more than `jump_percent` since the
    business day before, and those of the following bulletin if this one fills a gap before it.
    """
    day = bulletin.day

    async def flag_jumps(flagged: date) -> dict[str, Decimal]:
        since = days.business_day_before(flagged)
        rows = await connection.fetch(_FLAG_JUMPS, flagged, jump_percent, since)
        found = {row["code"]: row["jump_percent"] for row in rows}
        return {code: percent for code, percent in found.items() if percent is not None}

    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        latest = await connection.fetchrow(_LATEST, day)
        if latest is not None and latest["digest"] == bulletin.digest:
            return Stored(Change.NOTHING, latest["revision"])
        revision = 1 if latest is None else latest["revision"] + 1
        await connection.execute(
            "INSERT INTO aliaport_currency_bulletins (day, revision, number, digest, stored_at) "
            "VALUES ($1, $2, $3, $4, $5)",
            day,
            revision,
            bulletin.number,
            bulletin.digest,
            now,
        )
        await connection.copy_records_to_table(
            "aliaport_currency_rates",
            columns=_RATE_COLUMNS,
            records=[
                (day, revision, *(getattr(rate, column) for column in _RATE_COLUMNS[2:]))
                for rate in bulletin.rates
            ],
        )
        jumps = {day: await flag_jumps(day)}
        after = await connection.fetchval(_NEXT, day)
        if after is not None:
            jumps[after] = await flag_jumps(after)
        await connection.execute("DELETE FROM aliaport_currency_gaps WHERE day = $1", day)
    change = Change.ADDED if revision == 1 else Change.REVISED
    return Stored(change, revision, {jumped: found for jumped, found in jumps.items() if found})


async def note_gap(connection: Connection, day: date, reason: str, now: datetime) -> None:
    """Record that the source had no usable bulletin for `day`."""
    await connection.execute(
        "INSERT INTO aliaport_currency_gaps (day, reason, first_asked, last_asked) "
        "SELECT $1, $2, $3, $3 "
        "WHERE NOT EXISTS (SELECT FROM aliaport_currency_bulletins WHERE day = $1) "
        "ON CONFLICT (day) DO UPDATE SET reason = excluded.reason, "
        "last_asked = excluded.last_asked, attempts = aliaport_currency_gaps.attempts + 1",
        day,
        reason,
        now,
    )
