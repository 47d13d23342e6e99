"""The application that serves the rates below /api/currency, without authentication."""

from collections.abc import AsyncIterator

from aiohttp import web

from aliaport.apps import App, Context
from aliaport.postgres import Pool
from aliaport_currency_sync.config import RatesConfig
from aliaport_currency_sync.handlers import Handlers
from aliaport_currency_sync.openapi import PREFIX, describe
from aliaport_currency_sync.rates import Rates
from aliaport_currency_sync.schema import COMPONENT, prepare


def create(context: Context, options: RatesConfig) -> web.Application:
    """Create the application."""
    pool = Pool(context, component=f"{COMPONENT}_api", size=options.pool_size)
    rates = Rates(context, pool, entries=options.cache_entries, seconds=options.cache_seconds)
    handlers = Handlers(context, rates, max_age_days=options.max_age_days)
    application = web.Application()
    application.router.add_get("/rates", handlers.rates)
    application.router.add_get("/convert", handlers.convert)

    async def resources(_: web.Application) -> AsyncIterator[None]:
        await prepare(context)
        await pool.start()
        yield
        await pool.stop()

    application.cleanup_ctx.append(resources)
    return application


APP = App(prefix=PREFIX, create=create, config=RatesConfig, describe=describe)
