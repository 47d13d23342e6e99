"""Reads the rates of a day through a bounded cache."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from cachetools import TTLCache

from aliaport.plugin import CACHE_HIT_RATE, Context
from aliaport.postgres import Pool
from aliaport_currency_sync.bulletin import VALUES
from aliaport_currency_sync.families import CACHE_HITS, CACHE_MISSES

CACHE = "currency"
"""The cache's name in `aliaport_cache_hit_rate{cache}`."""

_RATES = """
SELECT b.day, b.revision, b.number, r.code, r.unit, r.name, r.name_en,
       r.forex_buying, r.forex_selling, r.banknote_buying, r.banknote_selling,
       r.cross_rate_usd, r.cross_rate_other, r.jump_percent
FROM (SELECT day, revision, number FROM aliaport_currency_bulletins WHERE day <= $1
      ORDER BY day DESC, revision DESC LIMIT 1) b
JOIN aliaport_currency_rates r ON r.day = b.day AND r.revision = b.revision
ORDER BY r.code"""
_SERIES = """
SELECT b.day, b.revision, b.number, r.code, r.unit, r.name, r.name_en,
       r.forex_buying, r.forex_selling, r.banknote_buying, r.banknote_selling,
       r.cross_rate_usd, r.cross_rate_other, r.jump_percent
FROM (SELECT DISTINCT ON (day) day, revision, number FROM aliaport_currency_bulletins
      WHERE day BETWEEN $2 AND $3 ORDER BY day, revision DESC) b
JOIN aliaport_currency_rates r ON r.day = b.day AND r.revision = b.revision AND r.code = $1
ORDER BY b.day LIMIT $4"""
_NEAREST = """
SELECT day FROM (SELECT max(day) AS day FROM aliaport_currency_bulletins WHERE day <= $1
                 UNION ALL SELECT min(day) FROM aliaport_currency_bulletins WHERE day > $1) found
WHERE day IS NOT NULL ORDER BY abs(day - $1), day LIMIT 1"""


@dataclass(frozen=True, slots=True)
class StoredRate:
    """One currency: lira for `unit` of it by kind of rate, and its JSON form for callers."""

    unit: int
    values: Mapping[str, Decimal | None]
    shown: Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True)
class DayRates:
    """The newest revision of one bulletin, by currency."""

    day: date
    revision: int
    number: str
    rates: Mapping[str, StoredRate]


@dataclass(frozen=True, slots=True)
class DatedRate:
    """One currency's rate in the newest revision of one bulletin."""

    day: date
    revision: int
    number: str
    rate: StoredRate


class Rates:
    """Reads the rates by day. Use it only in the loop of its pool.

    A day is cached for `seconds`, so changes by another replica show after that time at the latest.
    """

    def __init__(self, context: Context, pool: Pool, *, entries: int, seconds: float) -> None:
        self._pool = pool
        self._cache: TTLCache[date, DayRates | None] = TTLCache(entries, seconds)
        self._hits = self._misses = 0
        self._hit_counter = context.counter(CACHE_HITS)
        self._miss_counter = context.counter(CACHE_MISSES)
        self._hit_rate = context.gauge(CACHE_HIT_RATE)

    async def on_or_before(self, day: date) -> DayRates | None:
        """Return the latest bulletin on or before `day`, or None.

        Raises TimeoutError, OSError and asyncpg's errors if the database is unavailable.
        """
        try:
            found = self._cache[day]
        except KeyError:
            self._count(hit=False)
            found = self._cache[day] = await self._read(day)
        else:
            self._count(hit=True)
        return found

    async def nearest(self, day: date) -> date | None:
        """Return the day of the bulletin that is nearest to `day`, or None. Raises as above."""
        async with self._pool.acquire() as connection:
            found: date | None = await connection.fetchval(_NEAREST, day)
        return found

    async def series(self, code: str, first: date, last: date, limit: int) -> list[DatedRate]:
        """Return the first `limit` rates of one currency from `first` to `last`, oldest first.

        Bulletins without this currency are left out. Raises as `on_or_before` does.
        """
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(_SERIES, code, first, last, limit)
        return [DatedRate(row["day"], row["revision"], row["number"], _rate(row)) for row in rows]

    async def _read(self, day: date) -> DayRates | None:
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(_RATES, day)
        if not rows:
            return None
        rates = {row["code"]: _rate(row) for row in rows}
        first = rows[0]
        return DayRates(first["day"], first["revision"], first["number"], rates)

    def _count(self, *, hit: bool) -> None:
        if hit:
            self._hits += 1
            self._hit_counter.inc()
        else:
            self._misses += 1
            self._miss_counter.inc()
        self._hit_rate.set(100 * self._hits / (self._hits + self._misses), cache=CACHE)


def _rate(row: Any) -> StoredRate:
    values = {name: row[name] for name in VALUES}
    numbers = values | {"jump_percent": row["jump_percent"]}
    shown = {name: row[name] for name in ("code", "unit", "name", "name_en")}
    shown |= {name: None if value is None else f"{value:f}" for name, value in numbers.items()}
    return StoredRate(row["unit"], values, shown)
