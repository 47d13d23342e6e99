"""Small applications to be mounted."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import ClassVar

from aiohttp import web

from aliaport.apps import App, Context, PluginConfig, Refusal, client_address, data_response
from aliaport.web import server


class Options(PluginConfig):
    renamed_options: ClassVar[Mapping[str, str]] = {"salutation": "greeting"}

    greeting: str = "hello"


ATTEMPTS: list[int] = []
NOISES: list[int] = []
NOISE = os.urandom(1_100_000).hex()
"""Text that gzip takes long to compress."""


def create(context: Context, config: Options) -> web.Application:
    async def greet(request: web.Request) -> web.Response:
        return web.json_response({"text": config.greeting, "from": context.plugin})

    async def fail(request: web.Request) -> web.Response:
        raise ValueError("token=abcdefghijkl")

    async def refuse(request: web.Request) -> web.Response:
        headers = {"Retry-After": "7"}
        raise Refusal(409, "taken", "somebody was faster", headers=headers, version=3)

    async def data(request: web.Request) -> web.Response:
        return data_response(["ğ"], headers={"Cache-Control": "max-age=1"})

    async def rows(request: web.Request) -> web.Response:
        headers = {"ETag": '"1"', "Server": "greeter/1.0"}
        return data_response(["a row of a list"] * int(request.query["count"]), headers=headers)

    async def noise(request: web.Request) -> web.Response:
        NOISES.append(1)
        return web.Response(text=NOISE[: int(request.query["size"])])

    async def noises(_request: web.Request) -> web.Response:
        return data_response(len(NOISES))

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"streamed")
        return response

    async def move(request: web.Request) -> web.Response:
        raise web.HTTPSeeOther("/greeter/data")

    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(1)
        return web.Response(text="done")

    async def block(request: web.Request) -> web.Response:
        while not Path(request.query["until"]).exists():
            time.sleep(0.01)
        return web.Response(text="done")

    async def resources(_app: web.Application) -> AsyncIterator[None]:
        ATTEMPTS.append(1)
        if config.greeting == "late" and len(ATTEMPTS) < 2:
            raise ConnectionRefusedError("its database is down")
        yield

    app = web.Application()
    app.router.add_get("/greet/{name}", greet)
    app.router.add_get("/fail", fail)
    app.router.add_get("/refuse", refuse)
    app.router.add_get("/data", data)
    app.router.add_get("/rows", rows)
    app.router.add_get("/noise", noise)
    app.router.add_get("/noises", noises)
    app.router.add_get("/stream", stream)
    app.router.add_get("/move", move)
    app.router.add_get("/slow", slow)
    app.router.add_get("/block", block)
    app.cleanup_ctx.append(resources)
    return app


app = App(prefix="/greeter", create=create, config=Options)


def create_hanging(_context: Context, _config: PluginConfig) -> web.Application:
    async def hang(_app: web.Application) -> AsyncIterator[None]:
        ATTEMPTS.append(1)
        if len(ATTEMPTS) < 2:
            await asyncio.sleep(3600)
        yield
        await asyncio.sleep(3600)

    async def greet(_request: web.Request) -> web.Response:
        return data_response("at last")

    app = web.Application()
    app.router.add_get("/greet", greet)
    app.cleanup_ctx.append(hang)
    return app


hanging = App(prefix="/hanging", create=create_hanging)


def create_places(_context: Context, _config: PluginConfig) -> web.Application:
    async def address(request: web.Request) -> web.Response:
        return data_response(client_address(request))

    app = web.Application()
    app.router.add_get("/here/address", address)
    app.router.add_get("/far/away/{name}", address)
    app.router.add_get("/far/list.json", address)
    return app


places = App(paths=("/here", "/far/away", "/far/list.json"), create=create_places)


def create_reading(context: Context, config: PluginConfig) -> web.Application:
    async def body(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    async def large(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 20_000_000)

    async def echo(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        async for message in response:
            await response.send_str(message.data)
        return response

    async def keep_unsent(request: web.Request) -> web.StreamResponse:
        """Write as fast as the client reads."""
        response = web.StreamResponse()
        await response.prepare(request)
        size, transport = int(request.query["size"]), request.transport
        while size > 0 and transport is not None and not transport.is_closing():
            if transport.get_write_buffer_size() < 40_000:
                await response.write(b"x" * 4_096)
                size -= 4_096
            else:
                await asyncio.sleep(0.002)
        return response

    async def wait(request: web.Request) -> web.Response:
        while not Path(request.query["until"]).exists():
            await asyncio.sleep(0.01)
        return web.Response(text="done")

    app = web.Application()
    app.router.add_post("/body", body)
    app.router.add_get("/large", large)
    app.router.add_get("/keep_unsent", keep_unsent)
    app.router.add_get("/wait", wait)
    app.router.add_get("/echo", echo)
    return app


reading = App(prefix="/reading", create=create_reading)


def create_patient(context: Context, config: PluginConfig) -> web.Application:
    server.BODY_TIMEOUT = 60.0  # a busy machine must not end the wait before the test does
    return create_reading(context, config)


patient = App(prefix="/patient", create=create_patient)
