"""An application whose handlers fail in every way, and one that lacks an option."""

import asyncio
import errno
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import ClientConnectionResetError, web
from pydantic import Field

from aliaport.apps import App, Context, PluginConfig, Refusal, data_response


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


async def wrap(request: web.Request) -> web.Response:
    try:
        return await upload(request)
    except Exception as error:
        raise RuntimeError("its upload failed") from error


async def wrap_twice(request: web.Request) -> web.Response:
    try:
        return await wrap(request)
    except RuntimeError as error:
        raise LookupError("it cannot go on") from error


async def wrap_in_circle(request: web.Request) -> web.Response:
    first, second = LookupError("the first"), LookupError("the second")
    first.__cause__, second.__cause__ = second, first
    raise first


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    size = int(request.query.get("size", "4096"))
    while True:
        await response.write(b"x" * size)
        await asyncio.sleep(0.01)


async def wrap_stream(request: web.Request) -> web.StreamResponse:
    try:
        return await stream(request)
    except OSError:
        raise RuntimeError("its stream failed") from None


async def break_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"the beginning")
    raise LookupError("in the middle")


async def generate(_request: web.Request) -> Any:
    yield data_response("never")


def give_text(_request: web.Request) -> Any:
    return "no response"


async def forget(request: web.Request) -> Any:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"the beginning")


async def begin(request: web.Request) -> web.StreamResponse:
    """Begin a response of 1,000 bytes, or of chunks, as the caller wants it."""
    response = web.StreamResponse()
    if "chunked" not in request.query:
        response.content_length = 1_000
    await response.prepare(request)
    await response.write(b"the beginning")
    return response


async def refuse_late(request: web.Request) -> web.StreamResponse:
    await begin(request)
    raise Refusal(503, "database_down", "try again")


async def raise_late(request: web.Request) -> web.StreamResponse:
    await begin(request)
    raise web.HTTPSeeOther("/failing/dict")


async def read_late(request: web.Request) -> web.StreamResponse:
    await begin(request)
    await request.read()
    return data_response("never, for the body is malformed")


async def return_another(request: web.Request) -> web.StreamResponse:
    await begin(request)
    return data_response("another")


async def move_with_cookie(_request: web.Request) -> web.Response:
    error = web.HTTPSeeOther("/failing/dict")
    error.set_cookie("session", "1", httponly=True)
    error.set_cookie("theme", "dark")
    raise error


async def demand_password(_request: web.Request) -> web.Response:
    headers = {"WWW-Authenticate": "Basic", "Cache-Control": "max-age=1", "X-Own": "kept"}
    error = web.HTTPUnauthorized(headers=headers, text="who are you?")
    error.del_cookie("session")
    raise error


async def open_too_many(_request: web.Request) -> web.Response:
    raise OSError(errno.EMFILE, "Too many open files")


async def use_up_memory(_request: web.Request) -> web.Response:
    raise MemoryError


async def split_header(_request: web.Request) -> web.Response:
    return web.Response(text="x", headers={"X-Name": "a\r\nSet-Cookie: b"})


async def split_stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"X-Name": "a\nb"})
    await response.prepare(request)
    return response


async def number(request: web.Request) -> web.Response:
    return web.Response(status=int(request.match_info["status"]), text="x")


async def refuse(request: web.Request) -> web.Response:
    raise Refusal(int(request.match_info["status"]), "code", "the message")


async def refuse_with_object(_request: web.Request) -> web.Response:
    raise Refusal(400, "code", "the message", given=object())


class HTTPUnknown(web.HTTPException):
    status_code = 599


async def raise_unknown(_request: web.Request) -> web.Response:
    raise HTTPUnknown


async def chunks(sent: int) -> AsyncIterator[bytes]:
    for _ in range(sent):
        yield b"the beginning"
    raise LookupError("in the body")


async def body(request: web.Request) -> web.Response:
    return web.Response(body=chunks(int(request.match_info["sent"])))


def create(_context: Context, _config: PluginConfig) -> web.Application:
    app = web.Application()
    app.router.add_get("/dict", give_dict)
    app.router.add_get("/nothing", give_nothing)
    app.router.add_get("/generator", generate)
    app.router.add_get("/plain", give_text)
    app.router.add_get("/deep", raise_deep)
    app.router.add_get("/exit", end_process)
    app.router.add_get("/base", raise_base)
    app.router.add_get("/cancel", cancel_itself)
    app.router.add_get("/upstream", lose_upstream)
    app.router.add_post("/upload", upload)
    app.router.add_post("/wrapped", wrap)
    app.router.add_post("/wrapped-twice", wrap_twice)
    app.router.add_get("/circle", wrap_in_circle)
    app.router.add_get("/stream", stream)
    app.router.add_get("/wrapped-stream", wrap_stream)
    app.router.add_get("/break", break_off)
    app.router.add_get("/forget", forget)
    app.router.add_get("/late/refusal", refuse_late)
    app.router.add_get("/late/redirect", raise_late)
    app.router.add_get("/late/other", return_another)
    app.router.add_post("/late/body", read_late)
    app.router.add_get("/cookie", move_with_cookie)
    app.router.add_get("/password", demand_password)
    app.router.add_get("/files", open_too_many)
    app.router.add_get("/memory", use_up_memory)
    app.router.add_get("/header", split_header)
    app.router.add_get("/stream-header", split_stream)
    app.router.add_get("/status/{status}", number)
    app.router.add_get("/refuse/{status}", refuse)
    app.router.add_get("/refuse-with-object", refuse_with_object)
    app.router.add_get("/unknown", raise_unknown)
    app.router.add_get("/body/{sent}", body)
    return app


app = App(prefix="/failing", create=create)


class NeedsKey(PluginConfig):
    key: str


needs_key = App(prefix="/needs", create=create, config=NeedsKey)


class WrongDefault(PluginConfig):
    size: int = Field(20, le=10)


wrong_default = App(prefix="/wrong", create=create, config=WrongDefault)


async def create_async(_context: Context, _config: PluginConfig) -> web.Application:
    return web.Application()


anything: Any = lambda context, config: None  # noqa: E731
creates_nothing = App(prefix="/nothing-created", create=anything)
waiting: Any = lambda context, config: create_async(context, config)  # noqa: E731
creates_coroutine = App(prefix="/coroutine-created", create=waiting)
