"""The reader finds the same requests however the network cuts their bytes."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import structlog
from aiohttp import streams
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import HttpProcessingError
from hypothesis import given
from hypothesis import strategies as st

from aliaport.host.limits import LimitLog
from aliaport.settings import HttpSettings
from aliaport.web.request_reader import (
    MAX_QUEUED,
    MAX_SLICE,
    MAX_UNPARSED,
    RequestReader,
    RequestRejectedError,
)
from tests.support.raw_http import request

POST = request("/post", "Content-Length: %d", method="POST")
CHUNKED = request("/chunked", "Transfer-Encoding: chunked", method="POST")
CHECK = b"OPTIONS * HTTP/1.1\r\nX-A: b\r\n\r\n"
"""The check of HAProxy's manual: the reader adds a Host to it, but not to a body that looks like it."""

KINDS = {
    "get": (request("/get"), "/get", b""),
    "after blank lines": (b"\r\n\r\n\r\n" + request("/get"), "/get", b""),
    "length": (POST % 6 + b"a\r\n\r\nb", "/post", b"a\r\n\r\nb"),
    "empty": (POST % 0, "/post", b""),
    "check": (POST % len(CHECK) + CHECK, "/post", CHECK),
    "slices": (POST % 20_000 + b"a\r\n\r\n" * 4_000, "/post", b"a\r\n\r\n" * 4_000),
    "chunked": (CHUNKED + b"6\r\na\r\n\r\nb\r\n0\r\n\r\n", "/chunked", b"a\r\n\r\nb"),
    "chunked check": (CHUNKED + b"1e;a=b\r\n%b\r\n0\r\n\r\n" % CHECK, "/chunked", CHECK),
    "end in a chunk": (CHUNKED + b"5\r\n0\r\n\r\n\r\n00\r\n\r\n", "/chunked", b"0\r\n\r\n"),
    "trailers": (CHUNKED + b"1\r\na\r\n0\r\nX-A: b\r\nX-B: c\r\n\r\n", "/chunked", b"a"),
    "no chunks": (CHUNKED + b"0\r\n\r\n", "/chunked", b""),
    "small chunks": (CHUNKED + b"1\r\na\r\n" * 3_000 + b"0\r\n\r\n", "/chunked", b"a" * 3_000),
}


SMALL = sorted(name for name, (sent, _, _) in KINDS.items() if len(sent) < MAX_SLICE)


class CountingParser:
    """aiohttp's parser, which counts its calls."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._parser: Any = HttpRequestParser(BaseProtocol(loop), loop, 65_536)
        self.message_consumed = self._parser.message_consumed
        self.calls = 0

    def feed_data(self, data: bytes) -> Any:
        self.calls += 1
        return self._parser.feed_data(data)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def make_reader(parser: Any, queue: Sequence[Any] = ()) -> RequestReader:
    log = LimitLog(structlog.get_logger())
    return RequestReader(parser, HttpSettings(), log, time.monotonic, queue)


def read(loop: asyncio.AbstractEventLoop, pieces: Sequence[bytes]) -> list[tuple[str, bytes]]:
    """Feed the pieces and return each request's path and body."""
    reader = make_reader(HttpRequestParser(BaseProtocol(loop), loop, 65_536))
    found: list[tuple[str, streams.StreamReader]] = []
    for piece in pieces:
        parsed = reader.feed_data(piece)[0]
        while parsed:
            assert len(parsed) <= MAX_QUEUED
            found += [(message.path, body) for message, body in parsed]
            for _ in parsed:
                reader.message_consumed()
            parsed = reader.feed_data(b"")[0]
    assert not reader.in_body
    assert reader.head_size == 0
    assert all(body.is_eof() for _, body in found)
    return [(path, body.read_nowait()) for path, body in found]


def expected(names: Sequence[str]) -> list[tuple[str, bytes]]:
    return [KINDS[name][1:] for name in names]


@given(st.sampled_from(sorted(KINDS)), st.lists(st.sampled_from(SMALL), max_size=12), st.data())
def test_cuts_do_not_matter(
    loop: asyncio.AbstractEventLoop, first: str, others: list[str], data: st.DataObject
) -> None:
    names = [first, *others]
    sent = b"".join(KINDS[name][0] for name in names)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(sent)), max_size=20)))
    pieces = [sent[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)]
    assert read(loop, pieces) == expected(names)


@pytest.mark.parametrize("size", range(1, 6))
@pytest.mark.parametrize("name", sorted(KINDS))
def test_bytes_may_come_a_few_at_a_time(
    loop: asyncio.AbstractEventLoop, name: str, size: int
) -> None:
    names = [name, "get", name]
    sent = b"".join(KINDS[name][0] for name in names)
    pieces = [sent[start : start + size] for start in range(0, len(sent), size)]
    assert read(loop, pieces) == expected(names)


@pytest.mark.parametrize("size", range(1, 6))
def test_a_head_that_comes_a_few_bytes_at_a_time_is_bounded(
    loop: asyncio.AbstractEventLoop, size: int
) -> None:
    reader = make_reader(HttpRequestParser(BaseProtocol(loop), loop, 65_536))
    sent = request("/large", *[f"X-{number}: {'a' * 5_000}" for number in range(20)])
    limit = HttpSettings().max_head_bytes // size * size
    for start in range(0, limit, size):
        reader.feed_data(sent[start : start + size])
    with pytest.raises(RequestRejectedError) as raised:
        reader.feed_data(sent[limit : limit + size])
    assert raised.value.code == 431


def test_a_body_behind_other_requests_is_not_pipelining(loop: asyncio.AbstractEventLoop) -> None:
    size = MAX_UNPARSED + 5_000
    before = ["get"] * (MAX_QUEUED - 1)
    sent = KINDS["get"][0] * len(before) + POST % size + b"a" * size
    assert read(loop, [sent]) == [*expected(before), ("/post", b"a" * size)]


def test_transfer_encoding_needs_http_1_1(loop: asyncio.AbstractEventLoop) -> None:
    reader = make_reader(HttpRequestParser(BaseProtocol(loop), loop, 65_536))
    with pytest.raises(RequestRejectedError) as raised:
        reader.feed_data(KINDS["chunked"][0].replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert raised.value.code == 400


@given(st.lists(st.sampled_from(SMALL), min_size=1, max_size=6), st.integers(1, 20))
def test_requests_may_come_whole_and_repeat(
    loop: asyncio.AbstractEventLoop, names: list[str], times: int
) -> None:
    names = [name for name in names for _ in range(2)] * times
    assert read(loop, [KINDS[name][0] for name in names]) == expected(names)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_body_may_come_alone(loop: asyncio.AbstractEventLoop, name: str) -> None:
    head, end, body = KINDS[name][0].rpartition(b" HTTP/1.1\r\nHost: localhost\r\n")
    fields, seam, body = body.partition(b"\r\n\r\n")
    pieces = [head + end + fields + seam, body, KINDS["get"][0]]
    assert read(loop, pieces) == expected([name, "get"])


@pytest.mark.parametrize(
    ("head", "filling"),
    [
        (CHUNKED + b"fffff\r\n", b"\r\n\r\n"),
        (CHUNKED + b"fffff\r\n", b"0\r\n\r\n"),
        (POST % 1_000_000, b"\r\n\r\n"),
        (b"", b"\r\n\r\n"),
    ],
    ids=["chunk of blank lines", "chunk of ends", "body of blank lines", "blank lines"],
)
def test_nothing_makes_the_reader_slow(
    loop: asyncio.AbstractEventLoop, head: bytes, filling: bytes
) -> None:
    parser = CountingParser(loop)
    reader = make_reader(parser)
    reader.feed_data(head)
    size = 100_000
    reader.feed_data(filling * (size // len(filling)))
    assert parser.calls <= size / MAX_SLICE + 3


@pytest.mark.parametrize("ending", [b"0\r\n\r", b"0\r\nX-A: b\r\n\r", b"0\r\n\r\n\r"])
def test_a_head_behind_a_chunked_body_is_bounded(
    loop: asyncio.AbstractEventLoop, ending: bytes
) -> None:
    reader = make_reader(HttpRequestParser(BaseProtocol(loop), loop, 65_536))
    assert len(reader.feed_data(CHUNKED + ending)[0]) == 1
    lines = [f"X-{number}: {'a' * 8_000}" for number in range(10)]
    with pytest.raises(RequestRejectedError) as raised:
        reader.feed_data(b"\n" + request("/large", *lines))
    assert raised.value.code == 431


def test_too_long_trailers_are_refused(loop: asyncio.AbstractEventLoop) -> None:
    reader = make_reader(HttpRequestParser(BaseProtocol(loop), loop, 65_536))
    (_, body), *_ = reader.feed_data(CHUNKED + b"0\r\n")[0]
    line = b"X: %b\r\n" % (b"a" * 4_000)
    with pytest.raises(HttpProcessingError) as raised:
        reader.feed_data(line * 20)
    assert raised.value.code == 400
    assert body.exception() is not None
