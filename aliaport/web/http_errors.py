"""Turns aiohttp's HTTP exceptions into responses: errors get the common format."""

from http.client import responses

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from aliaport.web.responses import error_response

_MESSAGES = {
    404: "not found; see / for the available paths",
    405: "method not allowed; see the Allow header",
    413: "the request body is too large",
}
_OF_THE_BODY = ("Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding")


def http_error_response(error: web.HTTPException) -> web.Response:
    """Return the response for an HTTP exception, with its headers and cookies.

    Redirects and JSON are sent as they are. All others get a body in the common error format.
    """
    if error.status < 400 or error.content_type == "application/json":
        # Returning the exception itself is deprecated.
        headers = CIMultiDictProxy(error.headers)
        response = web.Response(
            status=error.status, reason=error.reason, headers=headers, body=error.body
        )
    else:
        response = _in_common_format(error)
    response.cookies.update(error.cookies)
    return response


def _in_common_format(error: web.HTTPException) -> web.Response:
    phrase = responses.get(error.status, "Error")
    default = f"{error.status}: {error.reason}"
    given = error.text if error.text and error.text != default else ""
    response = error_response(
        error.status,
        phrase.lower().replace(" ", "_").replace("-", "_"),
        given or _MESSAGES.get(error.status, phrase),
    )
    kept = CIMultiDict(error.headers)
    for name in _OF_THE_BODY:
        kept.popall(name, None)
    response.headers.update(kept)
    return response
