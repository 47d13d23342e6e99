"""An application whose handlers fail in every way, and one that lacks an option."""

import asyncio
from typing import Any

from aiohttp import ClientConnectionResetError, web
from pydantic import Field

from aliaport.apps import App, Context, PluginConfig, data_response


async def give_dict(_request: web.Request) -> Any:
    return {"not": "a response"}


async def give_nothing(_request: web.Request) -> Any:
    return None


async def raise_deep(_request: web.Request) -> web.Response:
    return middle()


def middle() -> web.Response:
    return deepest()


def deepest() -> web.Response:
    raise LookupError("the deepest line of the author")


async def end_process(_request: web.Request) -> web.Response:
    raise SystemExit(0)


async def raise_base(_request: web.Request) -> web.Response:
    raise BaseException("of no known kind")


async def cancel_itself(_request: web.Request) -> web.Response:
    raise asyncio.CancelledError


async def lose_upstream(_request: web.Request) -> web.Response:
    raise ClientConnectionResetError("its upstream left")


async def upload(request: web.Request) -> web.Response:
    return data_response(len(await request.read()))


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    size = int(request.query.get("size", "4096"))
    while True:
        await response.write(b"x" * size)
        await asyncio.sleep(0.01)


async def break_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"the beginning")
    raise LookupError("in the middle")


async def forget(request: web.Request) -> Any:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"the beginning")


def create(_context: Context, _config: PluginConfig) -> web.Application:
    app = web.Application()
    app.router.add_get("/dict", give_dict)
    app.router.add_get("/nothing", give_nothing)
    app.router.add_get("/deep", raise_deep)
    app.router.add_get("/exit", end_process)
    app.router.add_get("/base", raise_base)
    app.router.add_get("/cancel", cancel_itself)
    app.router.add_get("/upstream", lose_upstream)
    app.router.add_post("/upload", upload)
    app.router.add_get("/stream", stream)
    app.router.add_get("/break", break_off)
    app.router.add_get("/forget", forget)
    return app


app = App(prefix="/failing", create=create)


class NeedsKey(PluginConfig):
    key: str


needs_key = App(prefix="/needs", create=create, config=NeedsKey)


class WrongDefault(PluginConfig):
    size: int = Field(20, le=10)


wrong_default = App(prefix="/wrong", create=create, config=WrongDefault)
