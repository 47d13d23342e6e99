"""Reads the requests of one connection: aiohttp's parser, within limits that it does not have."""

import re
from collections.abc import Callable, Sequence, Sized
from functools import lru_cache
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web_protocol
from aiohttp.hdrs import CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE
from aiohttp.http import HttpRequestParser, HttpVersion10, HttpVersion11, RawRequestMessage
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from aliaport.host.limits import Limit, LimitLog
from aliaport.settings import HttpSettings
from aliaport.web.chunked_body import ChunkedBody

MAX_QUEUED = 2
"""Parsed requests that wait behind the one in progress; one more would pause the socket always."""

MAX_UNPARSED = 65_536
"""Bytes kept behind the queued requests; clients that pipeline send a few kB ahead."""

MAX_KNOWN = 1_024
"""Bytes of a head that is remembered, to recognize the same one: those of probes have about 100."""

MAX_SLICE = 16_384
"""Bytes of a body that are parsed at a time: in small chunks, they take about 5 ms."""

HEAD_TOO_LARGE = Limit(
    "request.head_too_large",
    "the client sends too many or too long headers; see max_head_bytes, max_line_bytes and "
    "max_header_lines in [http]",
    "info",
)
PIPELINED_TOO_FAR = Limit(
    "request.pipelined_too_far", "the client sends requests without reading responses", "info"
)

_HEAD_END = b"\r\n\r\n"
_NOTHING: tuple[Sequence[Any], bool, bytes] = ((), False, b"")
_BLANK = re.compile(rb"[\r\n]*")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+(%[\w.~%-]+)?\]|[\w.~!$&'()*+,;=%-]*)(:\d{0,5})?", re.ASCII)

_OTHER_VERSION = re.compile(rb" HTTP/(?!1\.[01]$)\d+(\.\d+)?$")

_MAX_VERSION = 20
"""Bytes at the end of a request line in which a version is looked for."""

_CHECK_OF_ALL = b"OPTIONS * "
_ROOT = URL("/")
_BAD = HTTPStatus.BAD_REQUEST
_BAD_VERSION = HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
_NOT_IMPLEMENTED = HTTPStatus.NOT_IMPLEMENTED
_URL_TOO_LONG = HTTPStatus.REQUEST_URI_TOO_LONG
_TOO_LARGE = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE

Message = tuple[RawRequestMessage, StreamReader]
Parsed = tuple[Sequence[Message], bool, bytes]


class RequestRejectedError(BadHttpMessage):
    """A request whose response has the status `code` and ends the connection."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.code = status


class RequestReader:
    """A parser with limits; it has the methods of aiohttp's own that aiohttp calls.

    It gives the parser one head or one slice of a body at a time. So a client cannot have more than
    MAX_QUEUED requests in memory, the size of a head is bounded while it arrives, and the parser
    never keeps bytes that it did not parse. `queue` has the requests that wait for their responses.

    `body_left` is how many bytes of a body with a `Content-Length` have not arrived. `received_at`
    is when a part of a request last arrived, and `received` how many bytes all parts have; neither
    counts a request that arrives whole. `is_discarding` is true once bytes that arrived, or that
    follow a refused request, are not read.
    """

    __slots__ = (
        "_body",
        "_chunks",
        "_clock",
        "_ended",
        "_is_last",
        "_known_head",
        "_line",
        "_log",
        "_max_head_bytes",
        "_max_line_bytes",
        "_parser",
        "_paused",
        "_queue",
        "_seam",
        "_unparsed",
        "body_left",
        "head_size",
        "is_discarding",
        "message_consumed",
        "received",
        "received_at",
    )

    def __init__(
        self,
        parser: HttpRequestParser,
        limits: HttpSettings,
        log: LimitLog,
        clock: Callable[[], float],
        queue: Sized,
    ) -> None:
        self.message_consumed = parser.message_consumed
        self._max_head_bytes = limits.max_head_bytes
        self._max_line_bytes = limits.max_line_bytes
        self._log = log
        self._clock = clock
        self._parser = parser
        self.head_size = 0
        self.received = 0
        self.received_at = 0.0
        self._unparsed = b""
        self._seam = b""
        self._line = b""
        self._body: StreamReader = EMPTY_PAYLOAD
        self.body_left = 0
        self._chunks: ChunkedBody | None = None
        self._known_head: bytes | None = None
        self._queue = queue
        self._paused = False
        self._ended = False
        self.is_discarding = False
        self._is_last = False

    @property
    def in_body(self) -> bool:
        """True while a request's body is incomplete."""
        return not self._body.is_eof()

    def pause_reading(self) -> None:
        """Parse nothing more of the body until the next call of `feed_data`."""
        self._paused = True

    def set_upgraded(self, upgraded: bool) -> None:
        """Set whether the connection changed its protocol; a refused change is its last request."""
        self._parser.set_upgraded(upgraded)
        self._ended = not upgraded

    def feed_data(self, data: bytes) -> Parsed:
        """Return the requests that are complete, whether the protocol changed, and the rest.

        Raises HttpProcessingError, with the status in `code`, for a request that is refused.
        """
        if self._ended:
            self.is_discarding = self.is_discarding or bool(data)
            return _NOTHING
        try:
            # Probes repeat their head: if the last bytes were it and no more, it needs no check.
            if data == self._known_head:
                parsed: Parsed = self._parser.feed_data(data)
                return parsed
            self._known_head = None
            size = len(data)
            # Nearly always a head arrives whole and alone, and nothing needs a closer look.
            if (
                size < len(_HEAD_END)
                or data.find(b"\r\n\r") != size - len(_HEAD_END)
                or size > self._max_head_bytes
                or self._body is not EMPTY_PAYLOAD
                or self.head_size
                or self._unparsed
            ):
                return self._feed(data)
            if data.startswith(_CHECK_OF_ALL):
                data = _with_host(data)
            parsed = self._parser.feed_data(data)
            messages = parsed[0]
            if len(messages) == 1:
                message, body = messages[0]
                if (
                    body is EMPTY_PAYLOAD
                    and message.version is HttpVersion11
                    and not message.should_close
                    and not message.upgrade
                    and _is_host(message.headers.get(HOST, ""))
                    and message.path[0] == "/"
                    and EXPECT not in message.headers
                ):
                    if size <= MAX_KNOWN:
                        self._known_head = data
                    return parsed
            return self._admit_all(parsed, [])
        except HttpProcessingError as error:
            self._ended = self.is_discarding = True
            raise self._with_status(error, self._line or data) from None

    def _feed(self, data: bytes) -> Parsed:
        """Feed head by head and body by body, until enough requests wait."""
        self._paused = False
        if data:
            self.received += len(data)
            self.received_at = self._clock()
        if self._unparsed:
            data = self._unparsed + data
            self._unparsed = b""
        size, start = len(data), 0
        found: list[Message] = []
        while True:
            try:
                end = self._next_end(data, start)
                parsed = self._parser.feed_data(data[start:end])
                _, upgraded, tail = self._admit_all(parsed, found)
            except HttpProcessingError as error:
                if self.in_body:
                    # aiohttp would let its handler wait for the rest.
                    self._body.set_exception(RequestRejectedError(_BAD, "malformed body"))
                    self._body.feed_eof()
                    if found:
                        self._end_with(found)
                        return found, False, b""
                self._line += data[start:]
                if not found:
                    raise
                # The requests before the bad one get their responses first.
                self._ended = self.is_discarding = True
                return [*found, _refused(self._with_status(error, self._line))], False, b""
            if self.head_size and b"\n" not in self._line.lstrip(b"\r\n"):
                self._line = (self._line + data[start:end])[: self._max_line_bytes]
            start = end
            if upgraded:
                return found, True, tail + data[start:]
            if self._ended or start == size:
                self.is_discarding = self.is_discarding or start < size
                return found, False, b""
            # A body that has ended does not resume the parser.
            self._paused = self._paused and self.in_body
            if self._paused or len(self._queue) + len(found) >= MAX_QUEUED:
                self._keep(data[start:], found)
                return found, False, b""

    def _next_end(self, data: bytes, start: int) -> int:
        """Return where the head, or the slice of a body, that continues at `start` ends."""
        if self.in_body:
            limit = min(len(data), start + MAX_SLICE)
            if self._chunks is not None:
                return self._chunks.find_end(data, start, limit)
            end = min(limit, start + self.body_left)
            self.body_left -= end - start
            return end
        if not self.head_size and (blank := _BLANK.match(data, start)):
            start = blank.end()
        end = self._find_head_end(data, start)
        self.head_size += end - start
        if self.head_size > self._max_head_bytes:
            url_ends = data.find(b"\r\n", start, start + self._max_line_bytes) >= 0
            continued = self.head_size > end - start
            status = _TOO_LARGE if url_ends or continued else _URL_TOO_LONG
            raise RequestRejectedError(status, "head too large")
        return end

    def _find_head_end(self, data: bytes, start: int) -> int:
        """Return where the next head ends, or the end of `data`."""
        size, seam, self._seam = len(_HEAD_END), self._seam, b""
        if seam:
            across = (seam + data[: size - 1]).find(_HEAD_END)
            if across >= 0:
                return across + size - len(seam)
        found = data.find(_HEAD_END, start)
        if found >= 0:
            return found + size
        self._seam = (seam + data[start:])[1 - size :]
        return len(data)

    def _admit_all(self, parsed: Parsed, found: list[Message]) -> Parsed:
        """Add the admitted requests to `found`."""
        messages, upgraded, tail = parsed
        # The parser counts the requests that have ended, to pause itself; this reader does that.
        # At most a body and the next request can have ended.
        self._parser.message_consumed()
        self._parser.message_consumed()
        found += [(self._admit(message, body), body) for message, body in messages]
        self._ended = self._is_last and self._body.is_eof() and not upgraded
        return found, upgraded, tail

    def _admit(self, message: RawRequestMessage, body: StreamReader) -> RawRequestMessage:
        """Return the message whose head is complete, as aiohttp is to see it."""
        if message.version != HttpVersion11 and message.version != HttpVersion10:
            raise RequestRejectedError(_BAD, "no HTTP version")
        if not _is_host(message.headers.get(HOST, "")):
            raise RequestRejectedError(_BAD, "invalid Host header")
        if message.version == HttpVersion10 and TRANSFER_ENCODING in message.headers:
            raise RequestRejectedError(_BAD, "Transfer-Encoding in HTTP/1.0")
        if message.chunked and message.headers[TRANSFER_ENCODING].lower() != "chunked":
            raise RequestRejectedError(_NOT_IMPLEMENTED, "unsupported Transfer-Encoding")
        self._body = body
        self.head_size = 0
        self._chunks = ChunkedBody(self._max_head_bytes) if message.chunked else None
        self._line = b""
        if body is not EMPTY_PAYLOAD and not message.chunked:
            self.body_left = int(message.headers.get(CONTENT_LENGTH, "0"))
        self._is_last = message.should_close
        if message.upgrade:
            # What follows would belong to the other protocol, which only WebSocket handlers speak.
            self._is_last = message.headers.get(UPGRADE, "").lower() != "websocket"
            message = message._replace(should_close=True)
        if EXPECT in message.headers:
            message = _with_one_expectation(message)
        if message.path == "*":
            message = message._replace(path="/", url=_ROOT)
        elif message.url.absolute and not message.url.relative().raw_path:
            message = message._replace(url=message.url.with_path("/", keep_query=True))
        return message

    def _keep(self, unparsed: bytes, found: list[Message]) -> None:
        """Keep bytes for later; if there are too many, the last request found ends the connection.

        The rest of a body is exempt: it is at most what one read returns.
        """
        if self._paused or self.in_body or not found or len(unparsed) <= MAX_UNPARSED:
            self._unparsed = unparsed
            return
        self._log.record(PIPELINED_TOO_FAR)
        self._end_with(found)

    def _end_with(self, found: list[Message]) -> None:
        """Read nothing more, and let the last request that was found close the connection."""
        self._ended = self.is_discarding = True
        message, body = found[-1]
        found[-1] = (message._replace(should_close=True), body)

    def _with_status(self, error: HttpProcessingError, head: bytes) -> HttpProcessingError:
        """Return the error with the status of the response; too large heads are also counted.

        `head` begins with the request line.
        """
        if error.code == _BAD and not self.in_body:
            line = head.lstrip(b"\r\n").partition(b"\r\n")[0]
            if _OTHER_VERSION.search(line[-_MAX_VERSION:]):
                error = RequestRejectedError(_BAD_VERSION, "unsupported HTTP version")
        if isinstance(error, LineTooLong):
            in_url = error.args[1] == self._max_line_bytes
            error = RequestRejectedError(_URL_TOO_LONG if in_url else _TOO_LARGE, "line too long")
        elif error.message == "Too many headers received":
            error = RequestRejectedError(_TOO_LARGE, "too many headers")
        if error.code in (_URL_TOO_LONG, _TOO_LARGE):
            self._log.record(HEAD_TOO_LARGE)
        return error


def _refused(error: HttpProcessingError) -> Message:
    """Return what aiohttp queues if its parser raises `error`."""
    refusal = web_protocol._ErrInfo(status=_BAD, exc=error, message=error.message)  # noqa: SLF001
    return cast("RawRequestMessage", refusal), EMPTY_PAYLOAD


def _with_host(head: bytes) -> bytes:
    """Return a whole head of `OPTIONS *` with a Host: the check of HAProxy's manual has none."""
    line, end, rest = head.partition(b"\r\n")
    return head if b"\r\nhost:" in head.lower() else line + end + b"Host:\r\n" + rest


def _with_one_expectation(message: RawRequestMessage) -> RawRequestMessage:
    """Return the message with one `Expect`; of several, aiohttp would see only the first."""
    given = ",".join(message.headers.getall(EXPECT)).split(",")
    expectations = {one.strip().lower() for one in given} - {""}
    headers = CIMultiDict(message.headers)
    headers[EXPECT] = ", ".join(sorted(expectations))
    return message._replace(headers=CIMultiDictProxy(headers))


@lru_cache(256)
def _is_host(value: str) -> bool:
    return _HOST.fullmatch(value) is not None
