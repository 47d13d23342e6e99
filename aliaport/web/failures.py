"""Responses to handlers that fail and to callers that leave, with their log lines."""

import asyncio
import inspect
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.http import StreamWriter

from aliaport.isolation.failures import describe
from aliaport.isolation.positions import function_position
from aliaport.plugin import Logger
from aliaport.process.limits import limit_error
from aliaport.redaction import shorten
from aliaport.web.malformed import malformed_response, record_malformed
from aliaport.web.request_reader import RequestRejectedError
from aliaport.web.responses import error_response
from aliaport.web.state import AppState

CALLER_LEFT = 499
"""The status, known from nginx, of a request whose caller closed the connection too early."""

MAX_CAUSES = 10
"""How far the causes of an exception are followed; authors can chain them in a circle."""

_BARE_HINT = "define the handler with `async def` and without `yield`, and return a response"
"""For what aiohttp accepts as a handler, but fails to call."""

_OF_LIMITS = (OSError, MemoryError, RuntimeError)
_CONTROL_CHARACTER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def raised_response(
    state: AppState, request: web.Request, error: BaseException
) -> web.StreamResponse:
    """Log an exception of a handler, and return the response to it.

    A caller that leaves before the request or the response is complete is not a failure, and
    neither is one that sends a malformed body.
    """
    gone = request.transport is None or request.transport.is_closing()
    _discard_begun(request)
    log, package = _owner(state, request)
    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, RequestRejectedError):
            record_malformed(state, request, cause.message, lambda: _fields(request))
            return malformed_response(request, cause.code)
    unread = request.content.exception()
    for cause in causes:
        if cause is unread or (gone and isinstance(cause, ConnectionError)):
            reason = type(cause).__name__
            if cause is not error:
                reason = f"{type(error).__name__} from {reason}"
            log.info("request.aborted", reason=reason, **_fields(request))
            return error_response(CALLER_LEFT, "aborted", "the connection closed too early")
    # Other types cannot be the cause, and their text is the author's code.
    limit = limit_error(error) if isinstance(error, _OF_LIMITS) else None
    handler = inspect.unwrap(_handler(request))
    bare = isinstance(error, AssertionError) and not inspect.iscoroutinefunction(handler)
    log.error(
        "request.failed",
        exc_info=error,
        where=function_position(handler) if bare else describe(error, package).where,
        hint=_BARE_HINT if bare else "",
        **({} if limit is None else {"reason": str(limit)}),
        **_fields(request),
    )
    return _internal_error() if limit is None else _limit_reached()


def checked_response(state: AppState, request: web.Request, returned: object) -> web.StreamResponse:
    """Return what a handler returned; if it cannot be sent, log that and return an error."""
    if not isinstance(returned, web.StreamResponse):
        reason = f"the handler returned {type(returned).__name__}, not a response"
        hint = "return aliaport.apps.data_response(…), or another response of aiohttp"
    elif returned.prepared or not request.writer.output_size:
        return returned
    else:
        reason = "the handler returned another response than the one that it had begun to send"
        hint = "return the response that was prepared"
    _discard_begun(request)
    log, _ = _owner(state, request)
    where = function_position(request.match_info.handler)
    log.error("request.failed", reason=reason, where=where, hint=hint, **_fields(request))
    return _internal_error()


def unsendable_response(
    state: AppState, request: web.Request, response: web.StreamResponse, error: Exception
) -> web.StreamResponse:
    """Log the exception that a handler's response raised while it was sent; return a 500."""
    _discard_begun(request)
    log, package = _owner(state, request)
    where = describe(error, package).where
    if not where.startswith(package):  # the body did not raise it: the handler made the response
        where = function_position(request.match_info.handler)
    log.error(
        "request.failed",
        reason=_find_fault(response),
        exc_info=error,
        where=where,
        **_fields(request),
    )
    return _internal_error()


def _causes(error: BaseException) -> list[BaseException]:
    """Return the exception and those that it was raised from, up to MAX_CAUSES."""
    causes: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and len(causes) < MAX_CAUSES:
        causes.append(following)
        following = following.__cause__ or following.__context__
    return causes


def _find_fault(response: web.StreamResponse) -> str:
    for name, value in response.headers.items():
        if _CONTROL_CHARACTER.search(name + value):
            return f"the response has a control character in the header {name[:100]!r}"
    return "the response cannot be sent"


def _owner(state: AppState, request: web.Request) -> tuple[Logger, str]:
    """Return the logger and the package of the application that has this path, or the core's."""
    path = request.rel_url.raw_path
    for app in state.apps:
        if app.declared is not None and app.declared.root_of(path):
            return app.log, app.candidate.package
    return state.log, "aliaport"


def _handler(request: web.Request) -> Any:
    match = request._match_info  # noqa: SLF001  # the property fails if the router has failed
    return None if match is None else match.handler


def _fields(request: web.Request) -> Mapping[str, Any]:
    handler = _handler(request)
    name = getattr(handler, "__qualname__", type(handler).__qualname__)
    return {
        "handler": f"{getattr(handler, '__module__', '')}.{name}"[:200],
        "http.request.method": request.method,
        "url.path": shorten(request.path, 200),
    }


def _internal_error() -> web.StreamResponse:
    return error_response(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal_error",
        "internal server error; the log has the details",
    )


def _limit_reached() -> web.StreamResponse:
    return error_response(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "limit_reached",
        "the service has reached a limit of its process; try again later",
    )


def _discard_begun(request: web.Request) -> None:
    """Discard the response that failed, so that another can be sent."""
    if request.writer.output_size > 0 and request.transport is not None:
        # Part of it is sent. Its reader must not take it for a whole one.
        request.transport.abort()
    # It may have set the writer to chunks or compression.
    request._payload_writer = StreamWriter(  # noqa: SLF001
        request.protocol, asyncio.get_running_loop()
    )
