"""Headers of every response: strict towards browsers, and without any version."""

from aiohttp import web
from aiohttp.http import SERVER_SOFTWARE
from multidict import istr

# An istr is added to headers twice as fast as a str.
_SERVER = istr("Server")
_NOSNIFF = istr("X-Content-Type-Options")
_REFERRER = istr("Referrer-Policy")
_NAME = "aliaport"

HEADERS: dict[str, str] = {
    istr("Cache-Control"): "no-store",
    _NOSNIFF: "nosniff",
    _REFERRER: "no-referrer",
    _SERVER: _NAME,
}
"""The headers of the core's responses, which are prepared with them."""

PAGE_HEADERS = {
    **HEADERS,
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
}
"""The headers of the core's HTML pages, which load, run and submit nothing."""


async def protect(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Add to an application's response what it has not set itself, just before it is sent.

    Raises ValueError if its status is not one that ends a request.
    """
    if not 200 <= response.status <= 599 and not isinstance(response, web.WebSocketResponse):
        raise ValueError(f"a response cannot have the status {response.status}; use 200 to 599")
    headers = response.headers
    headers.setdefault(_NOSNIFF, "nosniff")
    headers.setdefault(_REFERRER, "no-referrer")
    if headers.get(_SERVER) == SERVER_SOFTWARE:
        headers[_SERVER] = _NAME
