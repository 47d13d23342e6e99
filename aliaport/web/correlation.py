"""Gives each request of a mounted application an identity, which its log lines and answer carry."""

import re
import uuid

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

HEADER = "X-Request-ID"
REQUEST_ID = "request_id"
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")


@web.middleware
async def correlate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Take the caller's identity of the request or make one."""
    given = request.headers.get(HEADER, "")
    identity = given if _ACCEPTED.fullmatch(given) else uuid.uuid4().hex
    request[REQUEST_ID] = identity
    with structlog.contextvars.bound_contextvars(**{"http.request.id": identity}):
        response = await handler(request)
    if not response.prepared:
        response.headers[HEADER] = identity
    return response
