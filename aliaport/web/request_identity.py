"""Gives each request an identity, which its log lines, response and outgoing calls carry."""

from aiohttp import web

from aliaport.correlation import (
    REQUEST,
    REQUEST_ID_HEADER,
    TRACE_HEADER,
    RequestIdentity,
    identify,
)

IDENTITY = web.RequestKey("identity", RequestIdentity)
"""The key of a request that holds its identity."""


def begin(request: web.BaseRequest) -> RequestIdentity:
    """Identify the request, by the caller's headers if valid, and make it the current one."""
    headers = request.headers
    identity = identify(headers.get(REQUEST_ID_HEADER), headers.get(TRACE_HEADER))
    request[IDENTITY] = identity
    REQUEST.set(identity)
    return identity


def identity_of(request: web.BaseRequest) -> RequestIdentity:
    """Return the request's identity; a request that has none yet gets one."""
    return request.get(IDENTITY) or begin(request)


def mark(response: web.StreamResponse, identity: RequestIdentity) -> None:
    """Add the identity of the request to the response headers."""
    if not response.prepared:
        response.headers[REQUEST_ID_HEADER] = identity.request_id
        response.headers[TRACE_HEADER] = identity.traceparent
