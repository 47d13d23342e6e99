"""Responses to what handlers raise or wrongly return, and to callers that leave."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web

from aliaport.apps import Refusal
from aliaport.isolation.failures import describe, function_position
from aliaport.plugin import Logger
from aliaport.web.http_errors import http_error_response
from aliaport.web.malformed import malformed_response
from aliaport.web.request_reader import RequestRejectedError
from aliaport.web.responses import error_response
from aliaport.web.state import AppState

CALLER_LEFT = 499
"""The status, known from nginx, of a request whose caller closed the connection too early."""


def raised_response(
    state: AppState, request: web.Request, error: BaseException
) -> web.StreamResponse:
    """Return the response to what a handler raised; log it unless it is a regular response.

    A caller that leaves before the request or the response is complete is not a failure, and
    neither is one that sends a malformed body.
    """
    gone = request.transport is None or request.transport.is_closing()
    if not _break_off(request):
        if isinstance(error, Refusal):
            return error_response(
                error.status, error.code, error.message, error.headers, error.details
            )
        if isinstance(error, web.HTTPException):
            return http_error_response(error)
    log, package = _owner(state, request)
    if isinstance(error, RequestRejectedError):
        log.info("request.malformed", reason=error.message, **_fields(request))
        return malformed_response(request, error.code)
    unwritable = gone and isinstance(error, ConnectionError)
    if unwritable or error is request.content.exception():
        log.info("request.aborted", reason=type(error).__name__, **_fields(request))
        return error_response(CALLER_LEFT, "aborted", "the connection closed too early")
    log.error(
        "request.failed",
        exc_info=error,
        where=describe(error, package).where,
        **_fields(request),
    )
    return _internal_error()


def checked_response(state: AppState, request: web.Request, returned: object) -> web.StreamResponse:
    """Return what a handler returned; if it cannot be sent, log that and return an error."""
    if not isinstance(returned, web.StreamResponse):
        reason = f"the handler returned {type(returned).__name__}, not a response"
        hint = "return aliaport.apps.data_response(…), or another response of aiohttp"
    elif returned.prepared or not _has_begun(request):
        return returned
    else:
        reason = "the handler returned another response than the one that it had begun to send"
        hint = "return the response that was prepared"
    _break_off(request)
    log, _ = _owner(state, request)
    where = function_position(request.match_info.handler)
    log.error("request.failed", reason=reason, where=where, hint=hint, **_fields(request))
    return _internal_error()


def _has_begun(request: web.Request) -> bool:
    """Return True if at least part of a response is sent."""
    return request.writer.output_size > 0


def _break_off(request: web.Request) -> bool:
    """Close the connection if part of a response is sent; return whether that is so.

    Its reader must not take that part and what follows for a whole response.
    """
    if not _has_begun(request):
        return False
    if request.transport is not None:
        request.transport.abort()
    return True


def _owner(state: AppState, request: web.Request) -> tuple[Logger, str]:
    """Return the logger and the package of the application that has this path, or the core's."""
    path = request.rel_url.raw_path
    for app in state.apps:
        if app.declared is not None and app.declared.root_of(path):
            return app.log, app.candidate.package
    return state.log, "aliaport"


def _fields(request: web.Request) -> Mapping[str, Any]:
    handler = request.match_info.handler
    name = getattr(handler, "__qualname__", type(handler).__qualname__)
    return {
        "handler": f"{getattr(handler, '__module__', '')}.{name}"[:200],
        "http.request.method": request.method,
        "url.path": request.path[:200],
    }


def _internal_error() -> web.Response:
    return error_response(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal_error",
        "internal server error; the log has the details",
    )
