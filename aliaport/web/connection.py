"""One connection: its limits, its end, and its responses to malformed HTTP."""

import asyncio
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web
from aiohttp.http import HttpVersion11
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from aliaport.forwarded import client_address
from aliaport.host.limits import Limit
from aliaport.web.access_log import AccessCounter
from aliaport.web.failures import raised_response, unsendable_response
from aliaport.web.lingering import MAX_BODY_LEFT, LingeringClose
from aliaport.web.malformed import malformed_response, record_malformed
from aliaport.web.request_identity import identity_of, mark
from aliaport.web.request_reader import MAX_QUEUED, RequestReader, RequestRejectedError
from aliaport.web.state import AppState

if TYPE_CHECKING:
    from aliaport.web.connection_pool import ConnectionPool

MIN_PROGRESS = 16_384
"""Bytes that a client must send or read within the timeout of a body or response."""

MIN_SILENCE = 0.2
"""Seconds of silence after which a connection can make room: a round trip to another region."""

STALLED_READER = 3.0
"""Seconds without progress of a response after which a connection can make room."""

READ_BUFFER_BYTES = 65_536
"""Bytes of a body kept for its handler before the connection stops reading."""

WRITE_BUFFER_BYTES = 16_384
"""Bytes of responses, beyond what the kernel takes, with which the next response waits.

More would only cost memory: a connection whose client does not read holds one response anyway.
"""

HEAD_TIMEOUT = Limit(
    "connections.head_timeout", "a client did not complete the head of a request", "info"
)
BODY_TIMEOUT = Limit("connections.body_timeout", "a client sent a body too slowly", "info")
WRITE_TIMEOUT = Limit("connections.write_timeout", "a client read a response too slowly", "info")
CLOSE_TIMEOUT = Limit(
    "connections.close_timeout",
    "a client did not close the connection after the last response to it",
    "info",
)


class Phase(Enum):
    """The next thing that a connection waits for."""

    HEAD = auto()
    BODY = auto()
    RESPONSE = auto()
    NEXT_REQUEST = auto()
    CLOSE = auto()


@dataclass(slots=True)
class Progress:
    """Bytes that had passed at a time of the pool's clock."""

    at: float
    amount: int


_NOTHING_READ = Progress(0.0, 0)


class Connection(web.RequestHandler):
    """A connection that does not inflate bodies: a few bytes could become gigabytes in memory.

    Its only timer is that of idle connections: about once a second the pool calls `check` instead.
    """

    __slots__ = (
        "_finishing",
        "_half_closed",
        "_phase",
        "_phase_requests",
        "_phase_since",
        "_pool",
        "_read",
        "_reader",
        "_responded_at",
        "_responses",
        "_socket",
        "_state",
        "_unsent",
        "_written",
    )

    def __init__(
        self,
        state: AppState,
        pool: "ConnectionPool",
        manager: web.Server,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        limits = state.settings.http
        super().__init__(
            manager,
            loop=loop,
            keepalive_timeout=limits.idle_timeout,
            access_log_class=AccessCounter,
            access_log=state,  # type: ignore[arg-type]  # AccessCounter expects the AppState
            auto_decompress=False,
            lingering_time=limits.close_timeout,
            read_bufsize=READ_BUFFER_BYTES,
            max_line_size=limits.max_line_bytes,
            # Differs by one, since the parser raises the same error for both.
            max_field_size=limits.max_line_bytes + 1,
            max_headers=limits.max_header_lines,
        )
        self._reader = RequestReader(self._parser, limits, state.limits, pool.now, self._messages)
        self._parser: Any = self._reader
        self._max_msg_queue_size = MAX_QUEUED
        self._msg_queue_resume_size = 0
        self._state = state
        self._pool = pool
        self._socket: asyncio.Transport | None = None
        self._half_closed = False
        self._responses = 0
        self._phase = Phase.HEAD
        self._phase_requests = 0
        self._phase_since = self._responded_at = pool.now()
        self._read = _NOTHING_READ
        self._finishing: web.BaseRequest | None = None
        self._written = 0
        self._unsent: Progress | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport: aiohttp forgets it while the last bytes are still unsent."""
        self._socket = cast("asyncio.Transport", transport)
        self._socket.set_write_buffer_limits(WRITE_BUFFER_BYTES)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Leave the pool."""
        self._socket = None
        self._pool.remove(self)
        super().connection_lost(exc)
        # The parser refers to this object: the garbage collector would have to find the cycle.
        del self._reader

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp always returns None
        """Keep the connection open if a response is due: the client has only stopped sending."""
        # An upgraded request is complete, although that of CONNECT has an endless body.
        incomplete = self._reader.in_body and not self._upgraded
        if incomplete or self._payload_parser or self._responses == self._request_count:
            return False
        self._half_closed = True
        return True

    def set_parser(self, parser: Any, *arguments: Any, **options: Any) -> None:
        """Read WebSocket messages from now on; there are no more if the client stopped sending."""
        super().set_parser(parser, *arguments, **options)
        if self._half_closed:
            parser.feed_eof()

    def log_access(
        self, request: web.BaseRequest, response: web.StreamResponse, time: float | None
    ) -> None:
        """Count and log the request; after the last one of a half-closed connection, close it."""
        assert self.access_logger is not None
        assert time is not None
        now = self._loop.time()
        self._responded_at = now - self._pool.stalled
        self._responses += 1
        self._finishing = None
        if self._unsent is not None:
            self._written += request.writer.output_size
        self.access_logger.log(request, response, now - time)
        if self._half_closed and not self._messages:
            self.close()
        elif not response.keep_alive:
            self._linger(request)

    def _linger(self, request: web.BaseRequest) -> None:
        """Close the connection in a way that lets a client which still sends read the response."""
        socket = self._socket
        if socket is None or socket.is_closing() or self._force_close or self._upgraded:
            return
        still_sends = self._messages or self._reader.is_discarding or not request.content.is_eof()
        if still_sends and not self._half_closed:
            self._phase, self._phase_since = Phase.CLOSE, self._pool.now()
            self._force_close = True  # aiohttp neither reads nor closes it any more
            LingeringClose(socket, self.connection_lost)

    def resume_writing(self) -> None:
        """Note that the client has read most of what was unsent."""
        self._unsent = None
        super().resume_writing()

    def abort(self) -> None:
        """Close the connection at once, and drop what is unsent."""
        socket = self._socket
        self.force_close()
        if socket is not None:
            socket.abort()

    def can_make_room(self, now: float) -> bool:
        """Return True if the service waits for the client: to send, to read, or to close."""
        if self._socket is None:
            return False
        if self._socket.get_write_buffer_size():
            return self._unsent is not None and now - self._unsent.at >= STALLED_READER
        if self._phase is Phase.CLOSE:
            return True
        return self._find_phase() is not Phase.RESPONSE and now - self.quiet_since >= MIN_SILENCE

    @property
    def in_body(self) -> bool:
        """True while the body of a request has not arrived completely."""
        return self._reader.in_body

    @property
    def has_served(self) -> bool:
        """True once it has received a request."""
        return self._request_count > 0

    @property
    def address(self) -> str:
        """The client's address, or that of its proxy; '' if the connection is not open."""
        peer = None if self._socket is None else self._socket.get_extra_info("peername")
        return client_address(peer[0], {}, ()) if isinstance(peer, tuple) else ""

    @property
    def quiet_since(self) -> float:
        """The time of the pool's clock when it opened, got a part of a request, or responded."""
        return max(self._responded_at, self._reader.received_at)

    def check(self, now: float) -> Limit | None:
        """Return the limit that the client has exceeded, if any.

        Closes a half-closed connection that got its last response.
        """
        if self._socket is None:
            return None
        if self._half_closed and not self._is_responding:
            self.force_close()
        limits = self._state.settings.http
        if self._is_overdue_writing(now, self._socket.get_write_buffer_size()):
            return WRITE_TIMEOUT
        if self._phase is Phase.CLOSE:
            return self._overdue_closing(now)
        phase = self._find_phase()
        if phase is not self._phase or self._request_count != self._phase_requests:
            self._phase, self._phase_requests = phase, self._request_count
            self._phase_since = now
            self._read = Progress(now, self._reader.received)
        if phase is Phase.HEAD and now - self._phase_since >= limits.head_timeout:
            return HEAD_TIMEOUT
        if phase is Phase.BODY:
            if self._reader.received - self._read.amount >= MIN_PROGRESS:
                self._read = Progress(now, self._reader.received)
            elif now - self._read.at >= limits.body_timeout:
                return BODY_TIMEOUT
        return None

    def _is_overdue_writing(self, now: float, size: int) -> bool:
        if not size:
            self._unsent = None
            return False
        # Its handler may write as fast as the client reads, so that as much is unsent as before.
        request = self._finishing if self._current_request is None else self._current_request
        sent = self._written - size + (0 if request is None else request.writer.output_size)
        if self._unsent is None or sent - self._unsent.amount >= MIN_PROGRESS:
            self._unsent = Progress(now, sent)
        return now - self._unsent.at >= self._state.settings.http.write_timeout

    def _is_much_left(self, body: StreamReader) -> bool:
        if body.is_eof() or self._socket is None:
            return False
        return not 0 < self._reader.body_left <= MAX_BODY_LEFT

    def _overdue_closing(self, now: float) -> Limit | None:
        if self._unsent is not None:
            self._phase_since = now  # the client still reads the response
        timeout = self._state.settings.http.close_timeout
        return CLOSE_TIMEOUT if now - self._phase_since >= timeout else None

    @property
    def _is_responding(self) -> bool:
        # aiohttp waits for a request exactly while it has this future; before the first one, its
        # task may not have started.
        return bool(self._messages) or (self._waiter is None and self._request_count > 0)

    def _find_phase(self) -> Phase:
        if self._is_responding:
            held = self._reading_paused or self._buffer_paused
            return Phase.BODY if self._reader.in_body and not held else Phase.RESPONSE
        if self._reader.head_size or not self._request_count:
            return Phase.HEAD
        return Phase.NEXT_REQUEST

    def _resume_reading_if_drained(self) -> None:
        """Parse further pipelined requests in turn with other connections."""
        self._pool.request_turn(self)

    def take_turn(self) -> None:
        """Parse the next pipelined requests; the pool calls it."""
        if self.transport is not None:
            super()._resume_reading_if_drained()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        _message: str | None = None,
    ) -> web.StreamResponse:
        """Respond to a malformed request without repeating it, here or in the log.

        aiohttp's own response and log line contain its beginning, which may be a token.
        """
        if isinstance(exc, HttpProcessingError) and exc.code:
            status = exc.code
        elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:  # the router or a middleware failed
            identity = identity_of(request)
            failed = cast("web.Request", request)
            response = raised_response(self._state, failed, exc or TimeoutError())
            mark(response, identity)
            return response
        # The version that this server speaks: the client's may be none at all.
        request._version = HttpVersion11  # noqa: SLF001
        response = malformed_response(request, status)
        own = isinstance(exc, RequestRejectedError)
        reason = str(exc.args[0]) if own and exc else type(exc).__name__
        record_malformed(self._state, request, reason)
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response; one that aiohttp made by itself gets the common error format.

        An unknown `Expect` is refused before any middleware, with an echo of its value. If much of
        the request's body has not arrived, the response ends the connection.
        """
        if type(resp) is web.HTTPExpectationFailed:
            resp = malformed_response(request, resp.status)
        if request.content is not EMPTY_PAYLOAD and self._is_much_left(request.content):
            resp.force_close()
        self._finishing = request
        try:
            return await super().finish_response(request, resp, start_time)
        except Exception as error:  # the bulkhead of responses that cannot be sent
            failed = cast("web.Request", request)
            instead = unsendable_response(self._state, failed, resp, error)
            instead.force_close()
            mark(instead, identity_of(request))
            return await super().finish_response(request, instead, start_time)
