"""What the database has, and which days it still lacks."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from aliaport.plugin import Clock
from aliaport_currency_sync.business_days import BusinessDays, DayKind, today

FIRST_DAYS = 30
"""Days that a new installation fetches where the operator names no first day."""

ASK_AGAIN_AFTER = timedelta(hours=6)
GIVE_UP_AFTER = timedelta(days=15)
"""From the first time that the archive had no file of a day: it never will."""

NO_FILE = "no_file"
"""The reason of a gap for which the archive has no file; every other one is a refusal."""

Fetch = Callable[..., Awaitable[Sequence[Any]]]
"""A connection's or a link's `fetch`."""

_NEWEST = """
SELECT b.day, b.revision,
       (SELECT max(stored_at) FROM aliaport_currency_bulletins) AS last_stored_at,
       ARRAY(SELECT r.code FROM aliaport_currency_rates r WHERE r.day = b.day
             AND r.revision = b.revision AND r.jump_percent IS NOT NULL ORDER BY r.code) AS codes,
       ARRAY(SELECT r.jump_percent FROM aliaport_currency_rates r WHERE r.day = b.day
             AND r.revision = b.revision AND r.jump_percent IS NOT NULL ORDER BY r.code) AS percents
FROM aliaport_currency_bulletins b ORDER BY b.day DESC, b.revision DESC LIMIT 1"""
_LACKING = """
SELECT d.day, g.reason, g.first_asked, g.last_asked
FROM unnest($1::date[]) AS d(day) LEFT JOIN aliaport_currency_gaps g ON g.day = d.day
WHERE NOT EXISTS (SELECT FROM aliaport_currency_bulletins b WHERE b.day = d.day) ORDER BY d.day"""
_REMEMBER_FIRST_DAY = """
INSERT INTO aliaport_currency_begin (day) VALUES ($1)
ON CONFLICT (only_row) DO UPDATE SET day = $1 WHERE aliaport_currency_begin.day > $1"""


@dataclass(frozen=True, slots=True)
class Lacking:
    """A day without a bulletin; the rest is None until the archive was asked for it."""

    day: date
    reason: str | None = None
    first_asked: datetime | None = None
    last_asked: datetime | None = None

    def given_up(self, now: datetime) -> bool:
        """Whether it is taken for a day on which nothing was published."""
        return (
            self.reason == NO_FILE
            and self.first_asked is not None
            and now - self.first_asked > GIVE_UP_AFTER
        )

    def to_be_asked(self, now: datetime) -> bool:
        """Whether the archive should be asked for it at `now`."""
        if self.last_asked is None:
            return True
        # A clock that was set back must not keep it waiting.
        rested = abs(now - self.last_asked) > ASK_AGAIN_AFTER
        return rested and not self.given_up(now)


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest bulletin, the currencies that jumped in it, and when anything was last stored."""

    day: date
    revision: int
    last_stored_at: datetime
    jumps: dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class Account:
    """The newest bulletin, and the open days up to the one that may be out by now that lack one."""

    newest: Newest | None
    lacking: tuple[Lacking, ...]

    def missed(self, days: BusinessDays, now: datetime) -> list[Lacking]:
        """The business days whose bulletin is late or was never found, the given up ones apart."""
        last = days.newest_overdue(now)
        return [
            each
            for each in self.lacking
            if each.day <= last
            and days.kind(each.day) is DayKind.BUSINESS
            and not each.given_up(now)
        ]

    def has(self, day: date) -> bool:
        """Whether there is a bulletin of `day`, one of the open days."""
        return all(each.day != day for each in self.lacking)


class AccountReader:
    """Reads the account, from the first day that is kept complete on.

    That is the operator's or, where he names none, FIRST_DAYS before the first start.
    """

    def __init__(self, days: BusinessDays, configured: date | None, clock: Clock) -> None:
        self._days = days
        self._configured = configured
        self._clock = clock

    async def read(self, fetch: Fetch) -> Account:
        """What there is now."""
        now = self._clock.now()
        first = await self._first_day(fetch)
        newest = [
            Newest(
                row["day"],
                row["revision"],
                row["last_stored_at"],
                dict(zip(row["codes"], row["percents"], strict=True)),
            )
            for row in await fetch(_NEWEST)
        ]
        wanted = list(self._days.open_days(first, self._days.newest_open(now)))
        return Account(newest[0] if newest else None, await lacking_days(fetch, wanted))

    async def remember_first_day(self, fetch: Fetch) -> None:
        """Keep the first day: an outage must not move it, however long it lasts."""
        await fetch(_REMEMBER_FIRST_DAY, await self._first_day(fetch))

    async def _first_day(self, fetch: Fetch) -> date:
        known: list[date] = [
            row["day"] for row in await fetch("SELECT day FROM aliaport_currency_begin")
        ]
        if self._configured is not None:
            return min([self._configured, *known])
        return known[0] if known else today(self._clock.now()) - timedelta(days=FIRST_DAYS)


async def lacking_days(fetch: Fetch, wanted: Sequence[date]) -> tuple[Lacking, ...]:
    """Those of the wanted days that have no bulletin, the oldest first."""
    return tuple(Lacking(**row) for row in await fetch(_LACKING, wanted))
