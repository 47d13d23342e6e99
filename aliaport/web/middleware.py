"""Handles errors of all routes in the common format, and closes connections during a drain."""

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from aliaport.apps import Refusal
from aliaport.isolation.containment import is_ending
from aliaport.web.compression import is_worthwhile
from aliaport.web.failures import checked_response, raised_response
from aliaport.web.http_errors import http_error_response
from aliaport.web.request_identity import begin, mark
from aliaport.web.responses import error_response
from aliaport.web.state import AppState
from aliaport.web.turnstile import WAITED, Turnstile


def shape_errors(state: AppState) -> Middleware:
    """Return the middleware that turns exceptions of handlers into error responses."""
    drain, turnstile = state.drain, Turnstile()

    @web.middleware
    async def shape(request: web.Request, handler: Handler) -> web.StreamResponse:
        if turnstile.is_closed() and request.path != "/health":
            request[WAITED] = await turnstile.wait()
        identity = begin(request)
        try:
            response = await handler(request)
            # The type is compared since that is much faster than isinstance.
            if type(response) is not web.Response or request.writer.output_size:
                response = checked_response(state, request, response)
        except (Refusal, web.HTTPException) as error:
            response = _to_response(state, request, error)
        except BaseException as error:  # the bulkhead: SystemExit would end the whole service
            if is_ending(error):
                raise
            response = raised_response(state, request, error)
        mark(response, identity)
        if is_worthwhile(response):
            of_app = len(request.match_info.apps) > 1
            compressor = state.app_compressor if of_app else state.compressor
            await compressor.compress(request, response)
        if drain.active:
            response.force_close()
        return response

    return shape


def _to_response(
    state: AppState, request: web.Request, error: Refusal | web.HTTPException
) -> web.StreamResponse:
    """Return the response that a handler has raised, or a 500 if it cannot be made or sent."""
    if request.writer.output_size:
        return raised_response(state, request, error)
    try:
        if isinstance(error, Refusal):
            return error_response(
                error.status, error.code, error.message, error.headers, error.details
            )
        return http_error_response(error)
    except Exception as fault:  # the bulkhead: for example, of details that are not JSON
        return raised_response(state, request, fault.with_traceback(error.__traceback__))
