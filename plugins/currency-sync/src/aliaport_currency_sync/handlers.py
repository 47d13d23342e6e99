"""Handlers of the routes below /api/currency."""

import hashlib
from collections.abc import Awaitable, Mapping
from datetime import date, timedelta
from fractions import Fraction
from typing import Any, TypeVar

from aiohttp import ETag, web

from aliaport.apps import Context, Refusal, data_response
from aliaport.postgres import FAULTS, explain
from aliaport_currency_sync.business_days import CALENDAR, today
from aliaport_currency_sync.conversion import LIRA, PLACES, converted, lira_for_one
from aliaport_currency_sync.parameters import (
    Basis,
    Query,
    amount_of,
    basis_of,
    check_names,
    code_of,
    codes_of,
    day_of,
    invalid,
    kind_of,
    limit_of,
)
from aliaport_currency_sync.rates import DatedRate, DayRates, Rates, StoredRate

SETTLED_AFTER = timedelta(days=15)
"""Age at which a bulletin is no longer expected to be corrected."""

DAY_PARAMETERS = ("date", "basis")
SERIES_PARAMETERS = ("from", "to", "limit", "after")

_SHORT, _LONG = "public, max-age=60", "public, max-age=86400"

_REFUSALS = {
    "statement_timeout": ("statement_timeout", "the database took too long; try again later"),
    "pool_exhausted": ("overloaded", "too many requests at the same time; try again later"),
}
"""Codes and messages for callers, by the code of the database's fault."""

_UNAVAILABLE = ("database_unavailable", "the database is unavailable; try again later")

T = TypeVar("T")


class Handlers:
    """Handlers of the two routes. A bulletin serves dates up to `max_age_days` after its own."""

    def __init__(self, context: Context, rates: Rates, *, max_age_days: int) -> None:
        self._context = context
        self._rates = rates
        self._max_age = timedelta(days=max_age_days)

    async def rates(self, request: web.Request) -> web.Response:
        """Handle `GET /rates`: one bulletin, or the series of one currency."""
        query = request.query
        check_names(query, (*DAY_PARAMETERS, "code", *SERIES_PARAMETERS), repeatable=("code",))
        if any(name in query for name in SERIES_PARAMETERS):
            return await self._series(request)
        codes = codes_of(query)
        found, fields = await self._bulletin(query)
        rates = [_rate(found, code) for code in codes] if codes else found.rates.values()
        data = fields | {"rates": [rate.shown for rate in rates]}
        return self._respond(request, data, settled="date" in query and self._settled(found.day))

    async def convert(self, request: web.Request) -> web.Response:
        """Handle `GET /convert`: convert an amount."""
        query = request.query
        check_names(query, ("amount", "from", "to", "rate", *DAY_PARAMETERS))
        amount, kind = amount_of(query), kind_of(query)
        codes = code_of(query, "from"), code_of(query, "to")
        found, fields = await self._bulletin(query)
        source, target = (_price(found, code, kind) for code in codes)
        data = fields | {
            "amount": f"{amount:f}",
            "from": _quote(found, codes[0], kind),
            "to": _quote(found, codes[1], kind),
            "rate": kind,
            "result": f"{converted(amount, source, target):f}",
            "rounding": {"places": PLACES, "mode": "half_up"},
        }
        return self._respond(request, data, settled="date" in query and self._settled(found.day))

    async def _series(self, request: web.Request) -> web.Response:
        """Respond with the rates of one currency from the day `from` to the day `to`."""
        query = request.query
        for name in DAY_PARAMETERS:
            if name in query:
                raise invalid(name, "must not be combined with a series (`from`, `to`)")
        codes, limit = codes_of(query), limit_of(query)
        if len(codes) != 1:
            raise invalid("code", "must name one currency, because a series has only one")
        if "from" not in query:
            raise invalid("from", "is missing: it is the first day of the series")
        now = today(self._context.clock.now())
        first, last = day_of(query, now, "from"), day_of(query, now, "to")
        if first > last:
            raise invalid("from", f"must not be after `to` ({last})")
        begin = first
        if "after" in query:
            begin = max(first, day_of(query, now, "after") + timedelta(days=1))
        found = await self._from_database(self._rates.series(codes[0], begin, last, limit + 1))
        if not found and begin == first:
            text = f"there is no rate for {codes[0]} from {first} to {last}"
            raise Refusal(404, "no_data", text)
        page = found[:limit]
        data = {
            "code": codes[0],
            "from": first.isoformat(),
            "to": last.isoformat(),
            "items": [_item(dated) for dated in page],
            "next": page[-1].day.isoformat() if len(found) > limit else None,
        }
        return self._respond(request, data, settled=self._settled(last))

    async def _bulletin(self, query: Query) -> tuple[DayRates, dict[str, Any]]:
        """Return the bulletin for the parameters `date` and `basis`, and its fields."""
        now = self._context.clock.now()
        wanted, basis = day_of(query, today(now)), basis_of(query)
        # The rates in force on a day are those of the business day before.
        newest = wanted - timedelta(days=1) if basis is Basis.PUBLISHED else wanted
        found = await self._from_database(self._rates.on_or_before(newest))
        if found is None:
            raise await self._no_data(f"there is no bulletin on or before {newest}", wanted)
        if wanted - found.day > self._max_age:
            days = self._max_age.days
            text = f"there is no bulletin from the {days} days before {wanted}"
            raise await self._no_data(text, wanted)
        calendar = CALENDAR.days
        due = min(newest, calendar.newest_overdue(now))
        return found, {
            "date": found.day.isoformat(),
            "bulletin": found.number or None,
            "revision": found.revision,
            "basis": basis.value,
            "age_business_days": calendar.business_days_after(found.day, newest),
            "stale": calendar.business_days_after(found.day, due) > 0,
        }

    async def _no_data(self, text: str, wanted: date) -> Refusal:
        """Return the error for missing data, with the nearest day that has a bulletin."""
        nearest = await self._from_database(self._rates.nearest(wanted))
        if nearest is None:
            return Refusal(404, "no_data", f"{text}; none is stored yet")
        return Refusal(
            404,
            "no_data",
            f"{text}; the nearest bulletin is from {nearest}",
            nearest=nearest.isoformat(),
        )

    async def _from_database(self, reading: Awaitable[T]) -> T:
        try:
            return await reading
        except FAULTS as error:
            fault = explain(error, self._context)
            self._context.log.error(
                "rates.unavailable", reason=type(error).__name__, **fault.fields
            )
            raise Refusal(503, *_REFUSALS.get(fault.code, _UNAVAILABLE)) from None

    def _settled(self, day: date) -> bool:
        return today(self._context.clock.now()) - day > SETTLED_AFTER

    def _respond(
        self, request: web.Request, data: Mapping[str, Any], *, settled: bool
    ) -> web.Response:
        response = data_response(data, headers={"Cache-Control": _LONG if settled else _SHORT})
        assert isinstance(response.body, bytes)
        response.etag = etag = ETag(hashlib.sha256(response.body).hexdigest()[:32])
        known = request.if_none_match or ()
        if any(candidate.value in (etag.value, "*") for candidate in known):
            return web.Response(
                status=304,
                headers={key: response.headers[key] for key in ("ETag", "Cache-Control")},
            )
        return response


def _item(dated: DatedRate) -> dict[str, Any]:
    return {
        "date": dated.day.isoformat(),
        "bulletin": dated.number or None,
        "revision": dated.revision,
        **dated.rate.shown,
    }


def _quote(found: DayRates, code: str, kind: str) -> dict[str, Any]:
    if code == LIRA:
        return {"code": LIRA, "unit": 1, "value": "1"}
    rate = found.rates[code]
    return {"code": code, "unit": rate.unit, "value": rate.shown[kind]}


def _price(found: DayRates, code: str, kind: str) -> Fraction:
    if code == LIRA:
        return Fraction(1)
    rate = _rate(found, code)
    value = rate.values[kind]
    if value is None:
        raise Refusal(404, "no_data", f"the bulletin of {found.day} has no {kind} rate for {code}")
    return lira_for_one(value, rate.unit)


def _rate(found: DayRates, code: str) -> StoredRate:
    rate = found.rates.get(code)
    if rate is None:
        raise Refusal(404, "no_data", f"the bulletin of {found.day} has no rate for {code}")
    return rate
