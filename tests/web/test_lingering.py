"""A client that still sends when its last response comes gets all of it, and no reset."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.support.raw_http import connect, deliver, request, statuses
from tests.support.service import Service, running

CLOSE = "Connection: close"
MEGABYTE = b"a" * 1_000_000
LARGE_HEAD = request()[:-2] + b"X-A: " + MEGABYTE + b"\r\n\r\n"
ANNOUNCED = request("/reading/body", "Content-Length: 1000000000", method="POST")
CHUNKED = request("/reading/body", "Transfer-Encoding: chunked", method="POST")
UNREAD = request("/nothing", "Content-Length: 4000000", method="POST")

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(
        tmp_path_factory.mktemp("lingering"),
        apps={"reading": "aliaport_rogues.mounted:reading"},
        allow=("disk",),
        config="[http]\nclose_timeout = 60",
    ) as service:
        yield service


def assert_whole(received: bytes, status: int) -> None:
    """Check that this is one whole error response, and the last one of its connection."""
    head, _, body = received.partition(b"\r\n\r\n")
    assert statuses(head) == [status]
    assert b"\r\nConnection: close" in head
    assert json.loads(body)["success"] is False


def test_a_head_that_is_too_large_gets_its_response(service: Service) -> None:
    for _ in range(100):
        assert_whole(deliver(service.port, [LARGE_HEAD]), 431)


def test_a_slow_client_gets_its_response(service: Service) -> None:
    def slowly() -> Iterator[bytes]:
        for start in range(0, len(LARGE_HEAD), 50_000):
            yield LARGE_HEAD[start : start + 50_000]
            time.sleep(0.005)

    for _ in range(5):
        assert_whole(deliver(service.port, slowly()), 431)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n" + MEGABYTE, 400),
        (request("/" + "a" * 1_000_000), 414),
        (ANNOUNCED + MEGABYTE * 8, 413),
        (CHUNKED + b"zz\r\n" + MEGABYTE * 4, 400),
        (CHUNKED + b"3d0900\r\n" + MEGABYTE * 4, 413),
        (UNREAD + MEGABYTE * 4, 404),
        (UNREAD + MEGABYTE, 404),
        (request("/nothing", "Transfer-Encoding: chunked", method="POST") + b"1\r\n", 404),
        (request("/nothing", CLOSE) + MEGABYTE, 404),
        (request("/nothing", "Expect: foo", "Content-Length: 9", method="POST") + MEGABYTE, 417),
        (request("/nothing", "Connection: Upgrade", "Upgrade: h2c") + MEGABYTE, 404),
    ],
    ids=[
        *("not HTTP", "URL", "body over the limit", "malformed chunk", "chunk over the limit"),
        *("unread body", "incomplete body", "incomplete chunk", "bytes after the last request"),
        *("expectation", "upgrade"),
    ],
)
def test_what_is_not_read_does_not_cost_the_response(
    service: Service, data: bytes, status: int
) -> None:
    for _ in range(5):
        assert_whole(deliver(service.port, [data]), status)


def test_pipelining_too_far_costs_no_response_that_was_sent(service: Service) -> None:
    received = deliver(service.port, [request() * 50_000])
    assert set(statuses(received)) == {200}
    assert received.count(b'"status":"healthy"') == len(statuses(received)) < 50_000


def test_a_small_body_that_nobody_reads_keeps_the_connection(service: Service) -> None:
    head = request("/nothing", "Content-Length: 60000", method="POST")
    with connect(service.port) as client:
        for _ in range(3):
            client.sendall(head)
            assert statuses(client.recv(65_536)) == [404]
            client.sendall(b"a" * 60_000)
        client.sendall(request("/health", CLOSE))
        assert statuses(client.recv(65_536)) == [200]
