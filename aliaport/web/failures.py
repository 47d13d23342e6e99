"""Responses and log lines for handlers that fail, and for callers that leave."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web

from aliaport.isolation.failures import describe, function_position
from aliaport.plugin import Logger
from aliaport.web.malformed import malformed_response
from aliaport.web.request_reader import RequestRejectedError
from aliaport.web.responses import error_response
from aliaport.web.state import AppState

CALLER_LEFT = 499
"""The status, known from nginx, of a request whose caller closed the connection too early."""


def raised_response(
    state: AppState, request: web.Request, error: BaseException
) -> web.StreamResponse:
    """Log an exception of a handler, and return the response to it.

    A caller that leaves before the request or the response is complete is not a failure, and
    neither is one that sends a malformed body.
    """
    log, package = _owner(state, request)
    if isinstance(error, RequestRejectedError):
        log.info("request.malformed", reason=error.message, **_fields(request))
        return malformed_response(request, error.code)
    gone = request.transport is None or request.transport.is_closing()
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
    return _internal_error(request)


def checked_response(state: AppState, request: web.Request, returned: object) -> web.StreamResponse:
    """Return what a handler returned; if it is not a response, log that and return one."""
    if isinstance(returned, web.StreamResponse):
        return returned
    log, _ = _owner(state, request)
    log.error(
        "request.failed",
        reason=f"the handler returned {type(returned).__name__}, not a response",
        where=function_position(request.match_info.handler),
        hint="return aliaport.apps.data_response(…), or another response of aiohttp",
        **_fields(request),
    )
    return _internal_error(request)


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


def _internal_error(request: web.Request) -> web.StreamResponse:
    if request.writer.output_size > 0 and request.transport is not None:
        # Part of another response is sent. Its reader must not take it for a whole one.
        request.transport.abort()
    return error_response(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal_error",
        "internal server error; the log has the details",
    )
