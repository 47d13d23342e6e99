"""One connection: what cannot be read as HTTP gets the shape that all errors have."""

import asyncio
from http import HTTPStatus

from aiohttp import web

from aliaport.web.access_log import AccessCounter
from aliaport.web.responses import error_response
from aliaport.web.state import AppState


class Connection(web.RequestHandler):
    """Bodies are not inflated: a few bytes could become gigabytes on the HTTP loop."""

    def __init__(
        self,
        state: AppState,
        manager: web.Server,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(
            manager,
            loop=loop,
            access_log_class=AccessCounter,
            access_log=state,  # type: ignore[arg-type]  # AccessCounter takes it for what it is
            auto_decompress=False,
        )
        self._state = state

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that cannot be read without repeating it, here and in the log.

        aiohttp's own answer and log line have its beginning, which may be a token.
        """
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return super().handle_error(request, status, exc, message)
        self._state.log.info("request.malformed", reason=type(exc).__name__)
        answer = error_response(status, "malformed_request", "this cannot be read as HTTP")
        answer.force_close()
        return answer
