"""Responses to requests that no handler gets: one shape, and no echo."""

from aiohttp import web

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
    505: ("http_version_not_supported", "use HTTP/1.1"),
}


def malformed_response(status: int) -> web.Response:
    """Return the response to a request that no handler gets; it ends the connection."""
    code, message = _ERRORS.get(status, ("malformed_request", "the request is not valid HTTP"))
    response = error_response(status, code, message)
    response.force_close()
    return response
