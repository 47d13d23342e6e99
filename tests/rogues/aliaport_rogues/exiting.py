"""Applications that try to end the process, each at another place."""

import asyncio
import sys
from collections.abc import AsyncIterator

from aiohttp import web

from aliaport.apps import App, Context, PluginConfig, data_response


def create_never(_context: Context, _config: PluginConfig) -> web.Application:
    sys.exit(3)


in_create = App(prefix="/in-create", create=create_never)


def create_failing(_context: Context, _config: PluginConfig) -> web.Application:
    async def leave(_app: web.Application) -> None:
        sys.exit("its database is down")

    app = web.Application()
    app.on_startup.append(leave)
    return app


in_startup = App(prefix="/in-startup", create=create_failing)


def create_cancelled(_context: Context, _config: PluginConfig) -> web.Application:
    async def cancel(_app: web.Application) -> None:
        raise asyncio.CancelledError

    app = web.Application()
    app.on_startup.append(cancel)
    return app


cancelled = App(prefix="/cancelled", create=create_cancelled)


def create_late(context: Context, _config: PluginConfig) -> web.Application:
    async def exit_later() -> None:
        sys.exit(5)

    async def in_task(_request: web.Request) -> web.Response:
        context.tasks = [asyncio.create_task(exit_later())]  # type: ignore[attr-defined]
        return data_response("begun")

    async def in_callback(_request: web.Request) -> web.Response:
        asyncio.get_running_loop().call_soon(sys.exit, 6)
        return data_response("begun")

    async def interrupt(_request: web.Request) -> web.Response:
        raise KeyboardInterrupt

    async def stop_loop(_request: web.Request) -> web.Response:
        asyncio.get_running_loop().stop()
        return data_response("stopped")

    async def in_hook(_request: web.Request) -> web.Response:
        return data_response("begun", headers={"Exit": "7"})

    async def exit_on(_request: web.Request, response: web.StreamResponse) -> None:
        if "Exit" in response.headers:
            sys.exit(7)

    async def resource(_app: web.Application) -> AsyncIterator[None]:
        yield
        context.log.info("resource.closed")

    async def exit_at_shutdown(_app: web.Application) -> None:
        sys.exit(8)

    app = web.Application()
    app.router.add_get("/task", in_task)
    app.router.add_get("/callback", in_callback)
    app.router.add_get("/interrupt", interrupt)
    app.router.add_get("/stop", stop_loop)
    app.router.add_get("/hook", in_hook)
    app.on_response_prepare.append(exit_on)
    app.cleanup_ctx.append(resource)
    app.on_shutdown.append(exit_at_shutdown)
    return app


late = App(prefix="/late", create=create_late)
