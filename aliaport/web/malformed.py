"""Responses to requests that no handler gets: one shape, and no echo."""

from aiohttp import web

from aliaport.web.request_identity import identity_of, mark
from aliaport.web.responses import error_response

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
