"""Coverage: the newest bulletin in the database, and the days that still have none."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from aliaport.plugin import Clock
from aliaport_currency_sync.business_days import BusinessDays, DayKind, today

FIRST_DAYS = 30
"""Days that a new installation downloads if no first day is configured."""

RETRY_AFTER = timedelta(hours=6)
GIVE_UP_AFTER = timedelta(days=15)
"""Time after which the archive is no longer expected to publish a missing file."""

NO_FILE = "no_file"
"""Reason of a gap that has no file in the archive; every other reason is a rejection."""

Fetch = Callable[..., Awaitable[Sequence[Any]]]
"""The method `fetch` of a connection."""

# Arrays of text only: asyncpg reads the types of others from the catalog first, which takes more
# round trips than the probe has time for on a slow network.
_NEWEST = """
SELECT b.day, b.revision,
       (SELECT max(stored_at) FROM aliaport_currency_bulletins) AS last_stored_at,
       ARRAY(SELECT r.code FROM aliaport_currency_rates r WHERE r.day = b.day
             AND r.revision = b.revision AND r.jump_percent IS NOT NULL ORDER BY r.code) AS codes,
       ARRAY(SELECT r.jump_percent::text FROM aliaport_currency_rates r WHERE r.day = b.day
             AND r.revision = b.revision AND r.jump_percent IS NOT NULL ORDER BY r.code) AS percents
FROM aliaport_currency_bulletins b ORDER BY b.day DESC, b.revision DESC LIMIT 1"""
_MISSING_DAYS = """
SELECT d.day, g.reason, g.first_asked, g.last_asked
FROM unnest($1::text[]::date[]) AS d(day) LEFT JOIN aliaport_currency_gaps g ON g.day = d.day
WHERE NOT EXISTS (SELECT FROM aliaport_currency_bulletins b WHERE b.day = d.day) ORDER BY d.day"""
_REMEMBER_FIRST_DAY = """
INSERT INTO aliaport_currency_begin (day) VALUES ($1)
ON CONFLICT (only_row) DO UPDATE SET day = $1 WHERE aliaport_currency_begin.day > $1"""


@dataclass(frozen=True, slots=True)
class MissingDay:
    """A day without a bulletin; the other fields are None until its first request."""

    day: date
    reason: str | None = None
    first_asked: datetime | None = None
    last_asked: datetime | None = None

    def given_up(self, now: datetime) -> bool:
        """Return whether the bank is assumed to have published nothing on this day."""
        return (
            self.reason == NO_FILE
            and self.first_asked is not None
            and now - self.first_asked > GIVE_UP_AFTER
        )

    def due_at(self, now: datetime) -> datetime | None:
        """Return when to request it from the archive, or None if it is given up."""
        if self.given_up(now):
            return None
        return now if self.last_asked is None else self.last_asked + RETRY_AFTER

    def due(self, now: datetime) -> bool:
        """Return whether to request it from the archive at `now`."""
        if self.last_asked is None:
            return True
        # The absolute value, so that a clock set back does not delay it.
        waited = abs(now - self.last_asked) > RETRY_AFTER
        return waited and not self.given_up(now)


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest bulletin, its jumped rates, and the time when any bulletin was last stored."""

    day: date
    revision: int
    last_stored_at: datetime
    jumps: dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class Coverage:
    """The newest bulletin, and the open days so far without one."""

    newest: Newest | None
    missing: tuple[MissingDay, ...]

    def missed(self, days: BusinessDays, now: datetime) -> list[MissingDay]:
        """Return the business days whose bulletin is overdue, except those given up."""
        last = days.newest_overdue(now)
        return [
            hole
            for hole in self.missing
            if hole.day <= last
            and days.kind(hole.day) is DayKind.BUSINESS
            and not hole.given_up(now)
        ]

    def has(self, day: date) -> bool:
        """Return whether the bulletin of `day`, an open day, is stored."""
        return all(hole.day != day for hole in self.missing)


class CoverageReader:
    """Reads the coverage since the first day to keep complete.

    This is the configured day or, if none is configured, FIRST_DAYS before the first start.
    """

    def __init__(self, days: BusinessDays, configured: date | None, clock: Clock) -> None:
        self._days = days
        self._configured = configured
        self._clock = clock

    async def read(self, fetch: Fetch) -> Coverage:
        """Return the current coverage."""
        now = self._clock.now()
        first = await self._first_day(fetch)
        newest = [
            Newest(
                row["day"],
                row["revision"],
                row["last_stored_at"],
                dict(zip(row["codes"], map(Decimal, row["percents"]), strict=True)),
            )
            for row in await fetch(_NEWEST)
        ]
        wanted = list(self._days.open_days(first, self._days.newest_open(now)))
        return Coverage(newest[0] if newest else None, await missing_days(fetch, wanted))

    async def remember_first_day(self, fetch: Fetch) -> None:
        """Store the first day, so that even a long outage does not move it."""
        await fetch(_REMEMBER_FIRST_DAY, await self._first_day(fetch))

    async def _first_day(self, fetch: Fetch) -> date:
        known: list[date] = [
            row["day"] for row in await fetch("SELECT day FROM aliaport_currency_begin")
        ]
        if self._configured is not None:
            return min([self._configured, *known])
        return known[0] if known else today(self._clock.now()) - timedelta(days=FIRST_DAYS)


async def missing_days(fetch: Fetch, wanted: Sequence[date]) -> tuple[MissingDay, ...]:
    """Return the wanted days that have no bulletin, oldest first."""
    texts = [day.isoformat() for day in wanted]
    return tuple(MissingDay(**row) for row in await fetch(_MISSING_DAYS, texts))
