"""Requests at the edges of HTTP, byte by byte, and requests above the limits."""

import itertools
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.raw_http import connect, deliver, exchange, read_to_end, request, statuses
from tests.support.service import Service, running

CLOSE = "Connection: close"
POST = request("/nothing", "Content-Length: 5", method="POST") + b"hello"
CHUNKED_HEAD = request("/reading/body", "Transfer-Encoding: chunked", method="POST")
CHUNKED = CHUNKED_HEAD + b"2\r\nab\r\n0\r\n\r\n"
pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(
        tmp_path_factory.mktemp("requests"),
        apps={
            "greeter": "aliaport_rogues.mounted:app",
            "reading": "aliaport_rogues.mounted:reading",
        },
        allow=("disk",),
    ) as service:
        yield service


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/status", "/greeter/slow"])
def test_a_client_that_stops_sending_gets_its_response(service: Service, path: str) -> None:
    assert statuses(exchange(service.port, request(path), half_close=True)) == [200]


def test_a_client_that_stops_sending_gets_all_its_responses(service: Service) -> None:
    data = request() * 3 + POST + CHUNKED + request()
    assert statuses(exchange(service.port, data, half_close=True)) == [200] * 3 + [404, 200, 200]


WEBSOCKET = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request("/health", "Connection: Upgrade", "Upgrade: h2c"), 200),
        (request("/health", *WEBSOCKET), 200),
        (request("a:80", method="CONNECT"), 405),
    ],
)
def test_a_client_that_stops_sending_gets_the_refusal_of_another_protocol(
    service: Service, data: bytes, status: int
) -> None:
    assert statuses(exchange(service.port, data, half_close=True)) == [status]
    assert statuses(deliver(service.port, [data])) == [status]


@pytest.mark.parametrize("message", [b"", b"\x81\x82\x00\x00\x00\x00hi"])
def test_a_websocket_ends_with_its_client(service: Service, message: bytes) -> None:
    head = request("/reading/echo", *WEBSOCKET, "Sec-WebSocket-Key: " + "A" * 22 + "==")
    received = exchange(service.port, head + message, half_close=True)
    assert statuses(received) == [101]
    assert message[-2:] in received.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    "data",
    [b"", b"GET /hea", request("/nothing", "Content-Length: 9", method="POST") + b"half"],
    ids=["nothing", "half a head", "half a body"],
)
def test_a_client_that_stops_too_early_is_disconnected(service: Service, data: bytes) -> None:
    assert b" 200 " not in exchange(service.port, data, half_close=True)


@pytest.mark.parametrize("cut", [1, 7, 61])
def test_pipelined_requests_get_responses_in_order(service: Service, cut: int) -> None:
    kinds = [(request(), 200), (POST, 404), (CHUNKED, 200), (request("/ready"), 200)]
    expected = list(itertools.islice(itertools.cycle(kinds), 200))
    data = b"".join(one for one, _ in expected)
    with connect(service.port) as connection:
        size = len(data) // cut + 1
        for start in range(0, len(data), size):
            connection.sendall(data[start : start + size])
        connection.sendall(request("/health", CLOSE))
        assert statuses(read_to_end(connection)) == [status for _, status in expected] + [200]


@pytest.mark.parametrize(
    ("malformed", "status"),
    [
        (b"BAD\r\n\r\n", 400),
        (b"GET /health\r\n\r\n", 400),
        (b"GET /health HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"GET /health HTTP/1.1\r\n\r\n", 400),
        (request("/" + "a" * 9_000), 414),
        (request("/health", "X-A: " + "a" * 40_000), 431),
        (request("/nothing", "Transfer-Encoding: gzip, chunked", method="POST"), 501),
    ],
    ids=["no request", "no version", "other version", "no host", "URL", "head", "encoding"],
)
def test_a_malformed_request_behind_others_gets_its_response(
    service: Service, malformed: bytes, status: int
) -> None:
    for before in range(6):
        received = exchange(service.port, request() * before + malformed + request())
        assert statuses(received) == [200] * before + [status], before


@pytest.mark.parametrize("chunks", [4_096, 4_097, 5_000, 20_000])
def test_a_request_behind_many_small_chunks_gets_its_response(
    service: Service, chunks: int
) -> None:
    data = CHUNKED_HEAD + b"1\r\na\r\n" * chunks + b"0\r\n\r\n" + request("/health", CLOSE)
    assert statuses(exchange(service.port, data)) == [200, 200]


def test_a_body_that_looks_like_a_request_is_not_changed(service: Service) -> None:
    body = b"OPTIONS * HTTP/1.1\r\n\r\n"
    head = request("/reading/body", f"Content-Length: {len(body)}", method="POST")
    with connect(service.port) as connection:
        connection.sendall(head)
        service.get("/health")  # the head has arrived
        connection.sendall(body)
        assert statuses(connection.recv(65_536)) == [200]
        connection.sendall(request("/health", CLOSE))
        assert statuses(read_to_end(connection)) == [200]


def test_pipelining_too_far_ends_the_connection_after_some_responses(service: Service) -> None:
    got = statuses(exchange(service.port, request() * 5_000))
    assert 0 < len(got) < 5_000
    assert set(got) == {200}
    names = [row["name"] for row in service.get("/status").json["data"]["limits"]]
    assert "request.pipelined_too_far" in names


@pytest.mark.parametrize(
    "headers",
    [
        ("Connection: Upgrade", "Upgrade: foo"),
        ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"),
        ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
    ],
)
def test_a_refused_upgrade_is_the_last_request(service: Service, headers: tuple[str, ...]) -> None:
    for rest in (request("/ready"), b"GET /ready HTTP/1.1\r\nX-A: GET /metrics HTTP/1.1\r\n\r\n"):
        received = exchange(service.port, request("/health", *headers) + rest)
        assert statuses(received) == [200]
        assert b"connection: close" in received.lower()
        post = request("/nothing", "Content-Length: 5", *headers, method="POST") + b"hello"
        assert statuses(exchange(service.port, post + rest)) == [404]


def test_options_of_the_server_are_those_of_the_root(service: Service) -> None:
    for data in (
        request("*", CLOSE, method="OPTIONS"),
        b"OPTIONS * HTTP/1.0\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nConnection: close\r\n\r\n",
    ):
        received = exchange(service.port, data)
        assert statuses(received) == [200]
        assert b"Allow: GET, HEAD, OPTIONS" in received


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8000",
        "10.0.0.1:80",
        "[::1]:8000",
        "[fe80::1%25eth0]",
        "a_b.example.",
    ],
)
def test_valid_hosts_are_accepted(service: Service, host: str) -> None:
    data = f"GET /health HTTP/1.1\r\nHost: {host}\r\n{CLOSE}\r\n\r\n".encode()
    assert statuses(exchange(service.port, data)) == [200]


MALFORMED = {
    "no version": (b"GET /health\r\n\r\n", 400),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    **{
        f"HTTP/{version}": (b"GET /health HTTP/%b\r\nHost: a\r\n\r\n" % version.encode(), 505)
        for version in ("0.9", "1.2", "1.10", "2.0", "2", "3.0")
    },
    **{
        f"version {version!r}": (b"GET /health %b\r\nHost: a\r\n\r\n" % version.encode(), 400)
        for version in ("HTTP/1.", "HTTP/x.y", "HTTP/1.1.1", "HTTP/-1.1", "FOO/2.0", "http/1.1")
    },
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
    "no host": (b"GET /health HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "transfer coding": (
        request("/reading/body", "Transfer-Encoding: gzip, chunked", method="POST") + b"0\r\n\r\n",
        501,
    ),
    "* without OPTIONS": (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "URL": (request("/" + "a" * 9_000), 414),
    "long URL": (request("/" + "a" * 100_000), 414),
    "header": (request("/health", "Cookie: " + "a" * 9_000), 431),
    "64 headers and the host": (request("/health", *["X-A: b"] * 64), 431),
    "40 kB": (request("/health", *["X-A: " + "b" * 8_000] * 5), 431),
    "head without end": (request("/health", *["X-A: " + "b" * 8_000] * 5)[:-2], 431),
    **{
        f"host {host!r}": (b"GET /health HTTP/1.1\r\nHost: %b\r\n\r\n" % host, 400)
        for host in (b"a b", b"[", b"[::1", b"a/b", b"a@b", b"a:b", "ğ".encode())
    },
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_requests_get_an_error_of_http_1_1(service: Service, name: str) -> None:
    data, status = MALFORMED[name]
    received = exchange(service.port, data)
    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert statuses(received) == [status]
    body = json.loads(received.partition(b"\r\n\r\n")[2])
    assert body["success"] is False
    assert b"X-Request-ID: %b\r\n" % body["error"]["request_id"].encode() in received


@pytest.mark.parametrize("version", ["2.0", "1.2", "0.9"])
def test_the_network_may_cut_a_version(service: Service, version: str) -> None:
    data = f"\r\nGET /{'a' * 100} HTTP/{version}\r\nHost: a\r\n\r\n".encode()
    for cut in (60, data.index(b"HTTP/") + 2, data.index(b"\r\nHost") - 1):
        with connect(service.port) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(data[:cut])
            assert service.get("/health").status == 200
            connection.sendall(data[cut:])
            assert statuses(read_to_end(connection)) == [505]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /health\r\n\r\n", 400),
        (request("/health", "X-A: " + "b" * 9_000), 431),
        (request("/health", "Expect: foo"), 417),
    ],
)
def test_a_refused_request_has_one_identity(service: Service, data: bytes, status: int) -> None:
    body = json.loads(exchange(service.port, data).partition(b"\r\n\r\n")[2])
    identity = body["error"]["request_id"]

    def of_request() -> list[dict[str, Any]]:
        entries = service.events("request.answered")
        return [entry for entry in entries if entry.get("http.request.id") == identity]

    (entry,) = service.wait_for(of_request, "the request is logged")
    assert entry["trace.id"] == body["error"]["trace_id"]
    assert entry["http.response.status_code"] == status
    assert entry["client.ip"] == "127.0.0.1"


def test_malformed_requests_are_counted_and_logged_once_for_each_client_and_reason(
    service: Service,
) -> None:
    for data in (b"GET /health\r\n\r\n", CHUNKED_HEAD + b"zz\r\n") * 10:
        assert statuses(exchange(service.port, data)) == [400]
    limits = {row["name"]: row["count"] for row in service.get("/status").json["data"]["limits"]}
    assert limits["request.malformed"] >= 20
    events = service.wait_events("request.malformed")
    reasons = [event["reason"] for event in events]
    assert len(reasons) == len(set(reasons)) >= 2
    assert {event["client.ip"] for event in events} == {"127.0.0.1"}


@pytest.mark.parametrize("scheme", ["http", "HTTPS"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_a_request_may_have_an_absolute_url(service: Service, method: str, scheme: str) -> None:
    targets = {"": 200, "?a": 200, "/": 200, "/health?a=b": 200, "/nothing": 404, "/%68ealth": 404}
    for target, status in targets.items():
        data = request(f"{scheme}://a:80{target}", CLOSE, method=method)
        assert statuses(exchange(service.port, data)) == [status]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["100-continue"], [100, 200]),
        (["100-Continue, 100-continue"], [100, 200]),
        (["100-continue", "100-continue"], [100, 200]),
        ([", 100-continue ,"], [100, 200]),
        ([""], [200]),
        (["foo"], [417]),
        (["100-continue", "foo"], [417]),
        (["100-continue, foo"], [417]),
        (["100-continue;a=b"], [417]),
    ],
)
def test_every_expectation_is_checked(
    service: Service, lines: list[str], expected: list[int]
) -> None:
    headers = [f"Expect: {line}" for line in lines]
    upload = request("/reading/body", CLOSE, "Content-Length: 2", *headers, method="POST")
    assert statuses(exchange(service.port, upload + b"ab")) == expected
    assert statuses(exchange(service.port, request("/health", CLOSE, *headers))) == expected
    old = upload.replace(b"HTTP/1.1", b"HTTP/1.0")
    assert statuses(exchange(service.port, old + b"ab")) == [200]


def test_the_request_before_a_malformed_one_gets_its_response(service: Service) -> None:
    assert statuses(exchange(service.port, request() + b"\x00\r\n\r\n"))[0] == 200


def test_a_large_head_within_the_limits_is_accepted(service: Service) -> None:
    head = request("/health", CLOSE, *["X-A: " + "b" * 7_900] * 4, *["X-B: c"] * 50)
    assert statuses(exchange(service.port, head)) == [200]
    with connect(service.port) as connection:
        for start in range(0, len(head), 3_000):
            connection.sendall(head[start : start + 3_000])
        assert statuses(read_to_end(connection)) == [200]
