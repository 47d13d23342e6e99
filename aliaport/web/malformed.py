"""Responses to requests that no handler gets, with their log lines: one shape, and no echo."""

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from aliaport.forwarded import client_address
from aliaport.host.limits import Limit
from aliaport.web.request_identity import identity_of, mark
from aliaport.web.responses import error_response
from aliaport.web.state import AppState

MALFORMED = Limit("request.malformed", "a client sends requests that are not valid HTTP", "info")

_ERRORS = {
    414: ("uri_too_long", "the URL is too long; shorten it"),
    417: (
        "expectation_failed",
        "the header Expect can only be 100-continue; leave it out",
    ),
    431: (
        "request_header_fields_too_large",
        "the request has too many or too long headers; send fewer or shorter ones, such as cookies",
    ),
    500: ("internal_error", "internal server error; the log has the details"),
    501: (
        "transfer_encoding_not_implemented",
        "the only Transfer-Encoding is chunked; send the body without compression",
    ),
    505: (
        "http_version_not_supported",
        "the service only speaks HTTP/1.1 and HTTP/1.0; use HTTP/1.1",
    ),
}


def malformed_response(request: web.BaseRequest, status: int) -> web.Response:
    """Return the response to a request that no handler gets; it ends the connection.

    It identifies the request, which is then the current one.
    """
    identity = identity_of(request)
    code, message = _ERRORS.get(status, ("malformed_request", "the request is not valid HTTP"))
    response = error_response(status, code, message)
    response.force_close()
    mark(response, identity)
    return response


def record_malformed(
    state: AppState,
    request: web.BaseRequest,
    reason: str,
    details: Callable[[], Mapping[str, Any]] | None = None,
) -> None:
    """Log and count a malformed request without repeating it: its beginning may be a token.

    It is logged once in a while for each client and reason.
    """
    client = client_address(request.remote, request.headers, state.settings.trusted_proxies)
    state.limits.record(MALFORMED, details, **{"client.address": client, "reason": reason})
