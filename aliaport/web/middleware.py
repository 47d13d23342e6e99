"""The bulkhead of the routes: every error gets the one shape, and a drain ends connections."""

from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from aliaport.apps import Refusal
from aliaport.failures import describe
from aliaport.web.answers import error_answer
from aliaport.web.core import Core
from aliaport.web.correlation import HEADER, REQUEST_ID

_MESSAGES = {
    404: "there is nothing at this path; / lists what there is",
    405: "this path does not know the method; the header Allow lists those that it knows",
    413: "the body is too large",
}


def shape_errors(core: Core) -> Middleware:
    """Return the middleware that turns what a handler raises into an answer."""
    drain = core.drain

    @web.middleware
    async def shape(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except Refusal as error:
            answer = error_answer(
                error.status, error.code, error.message, error.headers, error.details
            )
            response = _identified(request, answer)
        except web.HTTPException as error:
            response = _identified(request, _shaped(error))
        except Exception as error:  # the bulkhead of the core's and the mounted apps' routes
            response = _identified(request, _failed(core, request, error))
        if drain.active:
            response.force_close()
        return response

    return shape


def _identified(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    if REQUEST_ID in request:
        response.headers[HEADER] = request[REQUEST_ID]
    return response


def _failed(core: Core, request: web.Request, error: Exception) -> web.StreamResponse:
    failure = describe(error, "aliaport")
    core.log.error(
        "request.failed",
        method=request.method,
        path=request.path[:200],
        **({"http.request.id": request[REQUEST_ID]} if REQUEST_ID in request else {}),
        reason=str(failure),
        where=failure.where,
        traceback=failure.traceback,
    )
    return error_answer(500, "internal_error", "this is our fault; the log has the cause")


def _shaped(error: web.HTTPException) -> web.StreamResponse:
    if error.status < 400 or error.content_type == "application/json":
        return error
    phrase = HTTPStatus(error.status).phrase
    default = f"{error.status}: {error.reason}"
    given = error.text if error.text and error.text != default else ""
    headers = {key: error.headers[key] for key in ("Allow", "Retry-After") if key in error.headers}
    return error_answer(
        error.status,
        phrase.lower().replace(" ", "_").replace("-", "_"),
        given or _MESSAGES.get(error.status, phrase),
        headers,
    )
