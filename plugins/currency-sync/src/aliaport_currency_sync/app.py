"""The application that serves the rates below /api/currency, without authentication."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from aiohttp import ETag, web

from aliaport.apps import App, Context, Refusal, data_response
from aliaport.postgres import FAULTS, Pool, explain
from aliaport_currency_sync.business_days import today
from aliaport_currency_sync.config import RatesConfig
from aliaport_currency_sync.conversion import LIRA, PLACES, converted, lira_for_one
from aliaport_currency_sync.parameters import amount_of, code_of, day_of, kind_of, read_query
from aliaport_currency_sync.rates import DayRates, Rates, StoredRate
from aliaport_currency_sync.schema import COMPONENT, prepare

SETTLED_AFTER = timedelta(days=15)
"""Age at which a bulletin is no longer expected to be corrected."""

_SHORT, _LONG = "public, max-age=60", "public, max-age=86400"


class Handlers:
    """Handlers of the two routes."""

    def __init__(self, context: Context, rates: Rates) -> None:
        self._context = context
        self._rates = rates

    async def list_rates(self, request: web.Request) -> web.Response:
        """Handle `GET /rates?date=&code=`: return the latest bulletin on or before the date."""
        query = read_query(request.query, ("date", "code"))
        wanted = day_of(query, today(self._context.clock.now()))
        code = code_of(query, "code") if "code" in query else None
        found = await self._find(wanted)
        rates = found.rates.values() if code is None else [_rate(found, code)]
        data = _bulletin_fields(found) | {"rates": [rate.shown for rate in rates]}
        return self._respond(request, data, query, found)

    async def convert(self, request: web.Request) -> web.Response:
        """Handle `GET /convert?amount=&from=&to=&date=&rate=`: convert an amount."""
        query = read_query(request.query, ("amount", "from", "to", "date", "rate"))
        amount, kind = amount_of(query), kind_of(query)
        codes = code_of(query, "from"), code_of(query, "to")
        found = await self._find(day_of(query, today(self._context.clock.now())))
        source, target = (_price(found, code, kind) for code in codes)
        data = _bulletin_fields(found) | {
            "amount": f"{amount:f}",
            "from": _quote(found, codes[0], kind),
            "to": _quote(found, codes[1], kind),
            "rate": kind,
            "result": f"{converted(amount, source, target):f}",
            "rounding": {"places": PLACES, "mode": "half_up"},
        }
        return self._respond(request, data, query, found)

    async def _find(self, wanted: date) -> DayRates:
        try:
            found = await self._rates.on_or_before(wanted)
        except FAULTS as error:
            fault = explain(error, self._context)
            self._context.log.error(
                "rates.unavailable",
                reason=type(error).__name__,
                code=fault.code,
                problem=fault.text,
            )
            raise Refusal(
                503, "database_unavailable", "the database is unavailable; try again later"
            ) from None
        if found is None:
            raise Refusal(404, "no_data", f"there is no bulletin on or before {wanted}")
        return found

    def _respond(
        self,
        request: web.Request,
        data: Mapping[str, Any],
        query: Mapping[str, str],
        found: DayRates,
    ) -> web.Response:
        settled = "date" in query and today(self._context.clock.now()) - found.day > SETTLED_AFTER
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


def create(context: Context, options: RatesConfig) -> web.Application:
    """Create the application."""
    pool = Pool(context, component=f"{COMPONENT}_api", size=options.pool_size)
    rates = Rates(context, pool, entries=options.cache_entries, seconds=options.cache_seconds)
    handlers = Handlers(context, rates)
    application = web.Application()
    application.router.add_get("/rates", handlers.list_rates)
    application.router.add_get("/convert", handlers.convert)

    async def resources(_: web.Application) -> AsyncIterator[None]:
        await prepare(context)
        await pool.start()
        yield
        await pool.stop()

    application.cleanup_ctx.append(resources)
    return application


APP = App(prefix="/api/currency", create=create, config=RatesConfig)


def _bulletin_fields(found: DayRates) -> dict[str, Any]:
    return {
        "date": found.day.isoformat(),
        "bulletin": found.number or None,
        "revision": found.revision,
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
