"""Handles errors of all routes in the common format, and closes connections during a drain."""

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from aliaport.isolation.containment import is_ending
from aliaport.web.compression import is_large
from aliaport.web.failures import checked_response, raised_response
from aliaport.web.request_identity import begin, mark
from aliaport.web.state import AppState


def shape_errors(state: AppState) -> Middleware:
    """Return the middleware that turns exceptions of handlers into error responses."""
    drain, compressor = state.drain, state.compressor

    @web.middleware
    async def shape(request: web.Request, handler: Handler) -> web.StreamResponse:
        identity = begin(request)
        try:
            response = await handler(request)
            # The type is compared since that is much faster than isinstance.
            if type(response) is not web.Response or request.writer.output_size:
                response = checked_response(state, request, response)
        except BaseException as error:  # the bulkhead: SystemExit would end the whole service
            if is_ending(error):
                raise
            response = raised_response(state, request, error)
        mark(response, identity)
        if is_large(response):
            await compressor.compress(request, response)
        if drain.active:
            response.force_close()
        return response

    return shape
