"""The application: its routes, and the resources they share."""

from collections.abc import AsyncIterator

from aiohttp import web

from aliaport.apps import App, Context
from aliaport_operations.accounts import Accounts
from aliaport_operations.config import ApiConfig
from aliaport_operations.database import Database
from aliaport_operations.dispatch import Dispatcher
from aliaport_operations.families import REPLAYED
from aliaport_operations.gate_logs import GateLogs
from aliaport_operations.openapi import describe
from aliaport_operations.passwords import Hashing
from aliaport_operations.routing import routes_in, routes_of
from aliaport_operations.schema import prepare
from aliaport_operations.sessions import Sessions
from aliaport_operations.sign_in import SignIn
from aliaport_operations.work_orders import WorkOrders


def create(context: Context, options: ApiConfig) -> web.Application:
    """Build the application."""
    database = Database(context, options)
    sessions = Sessions(options)
    hashing = Hashing(
        options.hashing_threads, options.max_hashing, lambda: database.shed("hashing")
    )
    routes = [
        *routes_of(SignIn(context, options, database, sessions, hashing)),
        *routes_of(Accounts(context)),
        *routes_of(WorkOrders(context)),
        *routes_of(GateLogs(context)),
    ]
    dispatcher = Dispatcher(options, database, sessions, context.counter(REPLAYED), context.log)
    application = web.Application()
    for route, handler in routes:
        web_handler = dispatcher.web_handler(route, handler)
        if route.method == "GET":
            application.router.add_get(route.path, web_handler)  # and HEAD
        else:
            application.router.add_route(route.method, route.path, web_handler)

    async def resources(_: web.Application) -> AsyncIterator[None]:
        await prepare(context)
        await database.start()
        yield
        hashing.close()
        await database.stop()

    application.cleanup_ctx.append(resources)
    return application


APP = App(
    paths=("/auth", "/api/cari", "/api/work-order", "/api/gate-log"),
    create=create,
    config=ApiConfig,
    describe=lambda: describe(routes_in((SignIn, Accounts, WorkOrders, GateLogs))),
)
