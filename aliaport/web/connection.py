"""One connection, which responds to malformed HTTP in the common error format."""

import asyncio
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any

from aiohttp import web

from aliaport.web.access_log import AccessCounter
from aliaport.web.malformed import MAX_HEADER, MAX_URL, malformed_response, status_of
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
            max_line_size=MAX_URL,
            max_field_size=MAX_HEADER,
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
            super().handle_error(request, status, exc, message)  # logs it
            return malformed_response(HTTPStatus.INTERNAL_SERVER_ERROR)
        self._state.log.info("request.malformed", reason=type(exc).__name__)
        return malformed_response(status_of(exc))

    def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> Coroutine[Any, Any, tuple[web.StreamResponse, bool]]:
        """Send a response; one that aiohttp made by itself gets the common error format.

        An unknown `Expect` is refused before any middleware, with an echo of its value.
        """
        if isinstance(resp, web.HTTPExpectationFailed):
            resp = malformed_response(resp.status)
        return super().finish_response(request, resp, start_time)
