"""Handles errors of all routes in the common format, and closes connections during a drain."""

import asyncio
from http.client import responses

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from multidict import CIMultiDictProxy

from aliaport.apps import Refusal
from aliaport.web.compression import is_large
from aliaport.web.failures import checked_response, raised_response
from aliaport.web.request_identity import begin, mark
from aliaport.web.responses import error_response
from aliaport.web.state import AppState

_MESSAGES = {
    404: "not found; see / for the available paths",
    405: "method not allowed; see the Allow header",
    413: "the request body is too large",
}


def shape_errors(state: AppState) -> Middleware:
    """Return the middleware that turns exceptions of handlers into error responses."""
    drain, compressor = state.drain, state.compressor

    @web.middleware
    async def shape(request: web.Request, handler: Handler) -> web.StreamResponse:
        identity = begin(request)
        try:
            response = await handler(request)
            if type(response) is not web.Response:  # much faster than isinstance
                response = checked_response(state, request, response)
        except (Refusal, web.HTTPException) as error:
            response = _to_response(state, request, error)
        except BaseException as error:  # the bulkhead: SystemExit would end the whole service
            if _is_ending(error):
                raise
            response = raised_response(state, request, error)
        mark(response, identity)
        if is_large(response):
            await compressor.compress(request, response)
        if drain.active:
            response.force_close()
        return response

    return shape


def _is_ending(error: BaseException) -> bool:
    """Return True if the service ends the request, and not the handler itself."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is None or task.cancelling() > 0
    return isinstance(error, GeneratorExit)


def _to_response(
    state: AppState, request: web.Request, error: Refusal | web.HTTPException
) -> web.StreamResponse:
    """Return the response that a handler has raised, or a 500 if it cannot be made."""
    try:
        if isinstance(error, Refusal):
            return error_response(
                error.status, error.code, error.message, error.headers, error.details
            )
        return _to_common_format(error)
    except Exception as fault:  # the bulkhead: for example, of details that are not JSON
        return raised_response(state, request, fault.with_traceback(error.__traceback__))


def _to_common_format(error: web.HTTPException) -> web.StreamResponse:
    if error.status < 400 or error.content_type == "application/json":
        # Returning the exception itself is deprecated.
        headers = CIMultiDictProxy(error.headers)
        return web.Response(
            status=error.status, reason=error.reason, headers=headers, body=error.body
        )
    phrase = responses.get(error.status, "Error")
    default = f"{error.status}: {error.reason}"
    given = error.text if error.text and error.text != default else ""
    kept = {key: error.headers[key] for key in ("Allow", "Retry-After") if key in error.headers}
    return error_response(
        error.status,
        phrase.lower().replace(" ", "_").replace("-", "_"),
        given or _MESSAGES.get(error.status, phrase),
        kept,
    )
