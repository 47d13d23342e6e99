"""Requests to servers of others, which send too much, too slowly, or redirect elsewhere."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trustme
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from aliaport.upstream import (
    MAX_REDIRECTS,
    RedirectError,
    TooLargeError,
    UpstreamResponse,
    open_session,
    request,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CA = trustme.CA()


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    trusted = ssl.create_default_context()
    CA.configure_trust(trusted)
    async with open_session(agent="aliaport-test", tls=trusted) as session:
        yield session


@pytest.fixture
async def served() -> AsyncIterator[Callable[..., Awaitable[TestServer]]]:
    servers: list[TestServer] = []

    async def serve(handler: Handler, *, tls: bool = False, host: str = "127.0.0.1") -> TestServer:
        app = web.Application()
        app.router.add_get("/{path:.*}", handler)
        server = TestServer(app, scheme="https" if tls else "http", host=host)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        CA.issue_cert(host).configure_cert(context)
        await server.start_server(ssl=context if tls else None)
        servers.append(server)
        return server

    yield serve
    for server in servers:
        await server.close()


async def fetch(session: ClientSession, server: TestServer, **options: Any) -> UpstreamResponse:
    given = {"timeout": 20.0, "max_bytes": 1_000, "max_redirects": 3, **options}
    return await request(session, "GET", str(server.make_url("/start")), **given)


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x" * 100)


async def drip(request: web.Request) -> web.StreamResponse:
    """Send a byte at a time: no single read takes long."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x")
        await asyncio.sleep(0.05)


async def bomb(_request: web.Request) -> web.StreamResponse:
    compressed = gzip.compress(b"0" * 700_000)
    assert len(compressed) < 1_000
    return web.Response(body=compressed, headers={"Content-Encoding": "gzip"})


async def test_a_large_response_is_refused(session: ClientSession, served: Any) -> None:
    with pytest.raises(TooLargeError, match="larger than 1,000 bytes"):
        await fetch(session, await served(endless))


async def test_the_time_is_bounded_however_slowly_it_arrives(
    session: ClientSession, served: Any
) -> None:
    with pytest.raises(TimeoutError):
        await fetch(session, await served(drip), timeout=0.5)


async def test_nothing_is_decompressed(session: ClientSession, served: Any) -> None:
    response = await fetch(session, await served(bomb))
    assert gzip.decompress(response.body) == b"0" * 700_000


def redirect(location: str) -> Handler:
    async def respond(request: web.Request) -> web.StreamResponse:
        if request.path == "/start":
            return web.Response(status=302, headers={"Location": location})
        return web.Response(text=request.path)

    return respond


@pytest.mark.parametrize("tls", [True, False])
async def test_a_redirect_on_the_same_server_is_followed(
    session: ClientSession, served: Any, tls: bool
) -> None:
    response = await fetch(session, await served(redirect("/next?x=1"), tls=tls))
    assert (response.status, response.body) == (200, b"/next")


async def test_a_redirect_elsewhere_is_not_followed(session: ClientSession, served: Any) -> None:
    secret = await served(redirect("/never"))
    other_port = str(secret.make_url("/internal/secret"))
    plain = await served(redirect("/never"), host="localhost")
    for tls, location, reason in (
        (False, other_port, "another port"),
        (True, other_port.replace("http:", "https:"), "another port"),
        (False, str(plain.make_url("/")), "another host"),
        (False, "//example.org/", "another host"),
        (False, "http://127.0.0.1.example.org/", "another host"),
        (False, "ftp://127.0.0.1/", "another port"),
        (False, "http://[/", "invalid address"),
        (False, "/start", "more than 3 redirects"),
        (False, "file:///etc/passwd", "another host"),
    ):
        with pytest.raises(RedirectError, match=reason):
            await fetch(session, await served(redirect(location), tls=tls))


async def test_a_redirect_to_plain_http_is_not_followed(
    session: ClientSession, served: Any
) -> None:
    async def downgrade(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(f"http://127.0.0.1:{request.url.port}/next")

    with pytest.raises(RedirectError, match="without encryption"):
        await fetch(session, await served(downgrade, tls=True))


@pytest.mark.parametrize(
    ("method", "body"), [("POST", None), ("PUT", b"x"), ("DELETE", None), ("GET", b"x")]
)
async def test_what_must_not_be_sent_twice_is_never_redirected(
    session: ClientSession, method: str, body: bytes | None
) -> None:
    options: dict[str, Any] = {"timeout": 20.0, "max_bytes": 1_000, "body": body}
    with pytest.raises(ValueError, match="would be sent twice; set max_redirects=0"):
        await request(session, method, "http://127.0.0.1:9/", **options, max_redirects=1)


async def test_the_body_of_an_unwanted_status_is_not_read(
    session: ClientSession, served: Any
) -> None:
    async def fail(request: web.Request) -> web.StreamResponse:
        if request.path == "/start":
            raise web.HTTPFound("/next")
        response = web.StreamResponse(status=404)
        await response.prepare(request)
        while True:
            await response.write(b"not found" * 1_000)

    for redirects in (0, MAX_REDIRECTS):
        server = await served(fail if redirects else endless)
        wanted = (200,) if redirects else (404,)
        response = await fetch(session, server, statuses=wanted, max_redirects=redirects)
        assert (response.status, response.body) == (404 if redirects else 200, b"")


async def test_without_redirects_the_response_is_returned(
    session: ClientSession, served: Any
) -> None:
    response = await fetch(session, await served(redirect("/next")), max_redirects=0)
    assert (response.status, response.headers["Location"]) == (302, "/next")
