"""Requests to servers of others: the time, the size and the redirects are bounded."""

import asyncio
import ssl
from collections.abc import Container, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import aiohttp
from yarl import URL

from aliaport.addresses import is_loopback

MAX_REDIRECTS = 3

_REDIRECTS = (
    HTTPStatus.MOVED_PERMANENTLY,
    HTTPStatus.FOUND,
    HTTPStatus.SEE_OTHER,
    HTTPStatus.TEMPORARY_REDIRECT,
    HTTPStatus.PERMANENT_REDIRECT,
)
_REPEATABLE = ("GET", "HEAD")
_CHUNK = 65_536


class UpstreamError(Exception):
    """The server's response is not acceptable; the message says why."""


class TooLargeError(UpstreamError):
    """The response has more bytes than allowed."""


class CutOffError(UpstreamError):
    """The server's response ends before its length."""


class RedirectError(UpstreamError):
    """The server redirects to where the client must not follow, or too often."""


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """A response. `body` is complete, or empty if its status was not among those wanted."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def open_session(
    *, agent: str, connections: int = 10, tls: ssl.SSLContext | None = None, proxies: bool = False
) -> aiohttp.ClientSession:
    """Open a client for `request`, without cookies; close it at the end.

    `agent` is the user agent, `proxies` follows HTTPS_PROXY and NO_PROXY of the environment.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, ssl=tls if tls is not None else True),
        cookie_jar=aiohttp.DummyCookieJar(),
        # A few compressed bytes can become gigabytes, so responses are neither requested
        # compressed nor decompressed.
        headers={"User-Agent": agent, "Accept": "*/*", "Accept-Encoding": "identity"},
        auto_decompress=False,
        trust_env=proxies,
    )


async def request(
    session: aiohttp.ClientSession,
    method: str,
    url: str | URL,
    *,
    timeout: float,
    max_bytes: int,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    max_redirects: int = 0,
    statuses: Container[int] | None = None,
) -> UpstreamResponse:
    """Send a request and return the whole response, within `timeout` seconds in all.

    A `URL` made with `encoded=True` is requested in exactly that spelling.

    Up to `max_redirects` redirects are followed if they stay on the host and its port and are
    encrypted; plain HTTP is followed on loopback only. With 0, a redirect is returned like any
    other response. Only GET and HEAD without a body are repeated elsewhere.

    If `statuses` is set, the body of a response with another status is not read: such a page may
    be endless or break off, and the status would be lost.

    Raises TimeoutError, UpstreamError, and aiohttp's ClientError; ValueError if what must not be
    repeated may be redirected.
    """
    if max_redirects and (body is not None or method not in _REPEATABLE):
        raise ValueError(f"a redirected {method} would be sent twice; set max_redirects=0")
    async with asyncio.timeout(timeout):
        for _ in range(max_redirects + 1):
            async with session.request(
                method, url, headers=headers, data=body, allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout),
            ) as response:  # fmt: skip
                status = response.status
                if max_redirects and status in _REDIRECTS:
                    url = _redirected(str(url), response.headers.get("Location", ""))
                    continue
                wanted = statuses is None or status in statuses
                content = await _read(response, max_bytes) if wanted else b""
                return UpstreamResponse(status, response.headers, content)
    raise RedirectError(f"more than {max_redirects} redirects")


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    content = bytearray()
    try:
        async for chunk in response.content.iter_chunked(_CHUNK):
            content += chunk
            if len(content) > max_bytes:
                response.close()
                raise TooLargeError(f"the response is larger than {max_bytes:,} bytes")
    except aiohttp.ClientPayloadError:
        raise CutOffError(
            f"the response ends before its length, after {len(content):,} bytes; "
            f"its status is {response.status}"
        ) from None
    return bytes(content)


def _redirected(origin: str, location: str) -> str:
    """Return the target of a redirect. Raises RedirectError if it must not be followed."""
    try:
        target = urljoin(origin, location)
        before, after = _endpoint(origin), _endpoint(target)
    except ValueError:
        raise RedirectError("redirects to an invalid address") from None
    shown = f"{after.scheme}://{after.host}:{after.port}"
    if after.host != before.host:
        raise RedirectError(f"redirects to another host, {shown}; it was not followed")
    upgraded = (before.scheme, before.port) == ("http", 80) and after.port == 443
    if after.port != before.port and not upgraded:
        raise RedirectError(f"redirects to another port, {shown}; it was not followed")
    unencrypted = before.scheme == after.scheme == "http" and is_loopback(after.host)
    if after.scheme != "https" and not unencrypted:
        raise RedirectError(f"redirects to {shown}, without encryption; it was not followed")
    return target


class _Endpoint(NamedTuple):
    scheme: str
    host: str
    port: int


def _endpoint(url: str) -> _Endpoint:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return _Endpoint(parts.scheme, parts.hostname or "", port)
