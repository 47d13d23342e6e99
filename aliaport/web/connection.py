"""One connection, which responds to malformed HTTP in the common error format."""

import asyncio
from http import HTTPStatus

from aiohttp import web

from aliaport.web.access_log import AccessCounter
from aliaport.web.responses import error_response
from aliaport.web.state import AppState


class Connection(web.RequestHandler):
    """A connection that does not inflate bodies: a few bytes could become gigabytes in memory."""

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
            access_log=state,  # type: ignore[arg-type]  # AccessCounter expects the AppState
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
        """Respond to a malformed request without repeating it, here or in the log.

        aiohttp's own response and log line contain its beginning, which may be a token.
        """
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return super().handle_error(request, status, exc, message)
        self._state.log.info("request.malformed", reason=type(exc).__name__)
        response = error_response(status, "malformed_request", "the request is not valid HTTP")
        response.force_close()
        return response
