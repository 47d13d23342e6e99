"""The reader finds the same requests however the network cuts their bytes."""

import asyncio
from collections.abc import Iterator

import pytest
import structlog
from aiohttp import streams
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser
from hypothesis import given
from hypothesis import strategies as st

from aliaport.host.limits import LimitLog
from aliaport.settings import HttpSettings
from aliaport.web.request_reader import MAX_QUEUED, RequestReader
from tests.support.raw_http import request

KINDS = {
    "/get": request("/get"),
    "/crlf": b"\r\n" + request("/crlf"),
    "/length": request("/length", "Content-Length: 6", method="POST") + b"a\r\n\r\nb",
    "/empty": request("/empty", "Content-Length: 0", method="POST"),
    "/chunked": request("/chunked", "Transfer-Encoding: chunked", method="POST")
    + b"6\r\na\r\n\r\nb\r\n0\r\n\r\n",
    "/trailer": request("/trailer", "Transfer-Encoding: chunked", method="POST")
    + b"1\r\na\r\n0\r\nX-A: b\r\n\r\n",
}


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def read(loop: asyncio.AbstractEventLoop, pieces: list[bytes]) -> list[tuple[str, bytes]]:
    """Feed the pieces and return each request's path and body."""
    parser = HttpRequestParser(BaseProtocol(loop), loop, 65_536)
    reader = RequestReader(parser, HttpSettings(), LimitLog(structlog.get_logger()))
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


@given(st.lists(st.sampled_from(sorted(KINDS)), max_size=12), st.data())
def test_cuts_do_not_matter(
    loop: asyncio.AbstractEventLoop, paths: list[str], data: st.DataObject
) -> None:
    sent = b"".join(KINDS[path] for path in paths)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(sent)), max_size=20)))
    bodies = {"/length": b"a\r\n\r\nb", "/chunked": b"a\r\n\r\nb", "/trailer": b"a"}
    pieces = [sent[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)]
    assert read(loop, pieces) == [(path, bodies.get(path, b"")) for path in paths]


def test_bytes_may_come_one_by_one(loop: asyncio.AbstractEventLoop) -> None:
    sent = b"".join(KINDS.values()) * 2
    found = read(loop, [bytes([byte]) for byte in sent])
    assert [path for path, _ in found] == [*KINDS, *KINDS]
