"""Responses to requests that aiohttp rejects before a handler: one shape, and no echo."""

from http import HTTPStatus

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from aliaport.web.responses import error_response

MAX_URL = 8_190
"""Bytes of the longest method and URL; a longer one gets 414."""

MAX_HEADER = 8_191
"""Bytes of the longest header; a longer one gets 431. It differs from MAX_URL to be told apart."""

_ERRORS = {
    HTTPStatus.REQUEST_URI_TOO_LONG: ("uri_too_long", "the URL is too long; shorten it"),
    HTTPStatus.EXPECTATION_FAILED: (
        "expectation_failed",
        "the header Expect can only be 100-continue; leave it out",
    ),
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (
        "request_header_fields_too_large",
        "the request has too many or too long headers; send fewer or shorter ones, such as cookies",
    ),
    HTTPStatus.INTERNAL_SERVER_ERROR: (
        "internal_error",
        "internal server error; the log has the details",
    ),
}


def malformed_response(status: int) -> web.Response:
    """Return the response to a request that no handler gets; it ends the connection."""
    code, message = _ERRORS.get(
        HTTPStatus(status), ("malformed_request", "the request is not valid HTTP")
    )
    response = error_response(status, code, message)
    response.force_close()
    return response


def status_of(error: BaseException | None) -> int:
    """Return the status for an error of aiohttp's parser, which itself knows only 400."""
    if isinstance(error, LineTooLong):
        is_url = error.args[1] == MAX_URL
        return (
            HTTPStatus.REQUEST_URI_TOO_LONG
            if is_url
            else HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        )
    if "Too many headers" in str(error):
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    return HTTPStatus.BAD_REQUEST
