"""Gives each request its identity, which its log lines, its answer and what it calls carry."""

from aiohttp import web

from aliaport.correlation import (
    REQUEST,
    REQUEST_ID_HEADER,
    TRACE_HEADER,
    RequestIdentity,
    identify,
)

IDENTITY = "aliaport_identity"
"""The key of a request under which its identity stands."""


def begin(request: web.Request) -> RequestIdentity:
    """Take the caller's identity of the request or make one, and let it be the present one."""
    headers = request.headers
    identity = identify(headers.get(REQUEST_ID_HEADER), headers.get(TRACE_HEADER))
    request[IDENTITY] = identity
    REQUEST.set(identity)
    return identity


def mark(response: web.StreamResponse, identity: RequestIdentity) -> None:
    """Let the answer say which request it answers."""
    if not response.prepared:
        response.headers[REQUEST_ID_HEADER] = identity.request_id
        response.headers[TRACE_HEADER] = identity.traceparent
