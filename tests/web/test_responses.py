"""Responses of production: headers, compression, tokens for metrics, refusals."""

import gzip
import http.client
import json
import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from aliaport.web.compression import MAX_INLINE, MAX_SIZE, MIN_SIZE, accepts_gzip
from tests.support.fixtures import Launch
from tests.support.raw_http import connect, read_to_end, request
from tests.support.service import Service, free_port, patient, running

pytestmark = pytest.mark.service

TOKEN = "a-token-of-sixteen-characters"
WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}
GOOD = {"good": "aliaport_rogues.good:Good"}
APPS = {"greeter": "aliaport_rogues.mounted:app"}
PRODUCTION = {
    "ENVIRONMENT": "production",
    "ALIAPORT_HOST": "127.0.0.1",
    "ALIAPORT_DRAIN_SECONDS": "0",
    "ALIAPORT_STATUS_TOKEN": TOKEN,
    "ALIAPORT_METRICS_AUTH": "true",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run a service of production, in which any warning of Python is an error."""
    folder = tmp_path_factory.mktemp("production")
    environ = {**PRODUCTION, "PYTHONWARNINGS": "error"}
    with running(folder, GOOD, APPS, environ=environ, config=patient("good")) as service:
        service.wait_for(lambda: service.get("/greeter/data").status == 200, "the application runs")
        yield service


@dataclass
class Raw:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def get(service: Service, path: str, headers: dict[str, str], method: str = "GET") -> Raw:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return Raw(response.status, response.headers, response.read())
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "status", "server"),
    [
        ("/", 200, "aliaport"),
        ("/health", 200, "aliaport"),
        ("/ready", 200, "aliaport"),
        ("/ready?include=nothing", 400, "aliaport"),
        ("/status", 200, "aliaport"),
        ("/status?verbose", 200, "aliaport"),
        ("/metrics", 401, "aliaport"),
        ("/nothing", 404, "aliaport"),
        ("/greeter/data", 200, "aliaport"),
        ("/greeter/rows?count=1", 200, "greeter/1.0"),
        ("/greeter/stream", 200, "aliaport"),
        ("/greeter/move", 303, "aliaport"),
        ("/greeter/fail", 500, "aliaport"),
        ("/greeter/nothing", 404, "aliaport"),
        ("/health?" + "a" * 9_000, 414, "aliaport"),
    ],
)
def test_every_response_is_strict_to_browsers_and_hides_versions(
    service: Service, path: str, status: int, server: str
) -> None:
    response = get(service, path, {})
    assert response.status == status
    assert response.headers["Server"] == server, "what an application sets itself stays"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    is_page = response.headers["Content-Type"].startswith("text/html")
    assert is_page == (path == "/")
    if is_page:
        policy = response.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; ")
        assert {"base-uri 'none'", "frame-ancestors 'none'"} <= set(policy.split("; "))


def test_the_page_of_links_shows_the_version_to_operators_only(service: Service) -> None:
    version = service.get("/health").json["version"]
    assert version not in service.get("/").text
    assert version in service.get("/", headers=WITH_TOKEN).text


def test_metrics_may_require_the_status_token(service: Service) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": f"Basic {TOKEN}"}):
        refused = service.get("/metrics", headers=headers)
        assert (refused.status, refused.json["error"]["code"]) == (401, "unauthorized")
        assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert "aliaport_build_info" in service.get("/metrics", headers=WITH_TOKEN).text


@pytest.mark.parametrize(
    ("path", "compressed"),
    [
        ("/health", False),
        ("/metrics", True),
        ("/status", False),
        ("/greeter/data", False),
        (f"/greeter/rows?count={MIN_SIZE // 18}", True),
        (f"/greeter/rows?count={MAX_INLINE // 10}", True),
        ("/greeter/stream", False),
    ],
)
def test_large_responses_are_compressed_for_callers_who_accept_it(
    service: Service, path: str, compressed: bool
) -> None:
    plain = get(service, path, WITH_TOKEN)
    assert "Content-Encoding" not in plain.headers
    assert ("Vary" in plain.headers) == compressed
    packed = get(service, path, {**WITH_TOKEN, "Accept-Encoding": "br, gzip;q=0.5"})
    assert (packed.headers["Content-Encoding"] == "gzip") == compressed
    if not compressed:
        return
    assert packed.headers["Content-Length"] == str(len(packed.body))
    unpacked = gzip.decompress(packed.body)
    if path == "/metrics":
        assert unpacked.startswith(b"# HELP aliaport_http_requests_total ")
    else:
        assert unpacked == plain.body
        assert (plain.headers["ETag"], packed.headers["ETag"]) == ('"1"', 'W/"1"')
    assert len(packed.body) < len(unpacked) / 3
    head = get(service, path, {**WITH_TOKEN, "Accept-Encoding": "gzip"}, "HEAD")
    assert (head.headers["Content-Encoding"], head.body) == ("gzip", b"")
    refused = get(service, path, {**WITH_TOKEN, "Accept-Encoding": "gzip;q=0, *"})
    assert "Content-Encoding" not in refused.headers


def test_bodies_of_applications_do_not_delay_a_scrape(service: Service) -> None:
    """Queue many large bodies; the page that is requested last is compressed before the last."""
    scrape = get(service, "/metrics", {**WITH_TOKEN, "Accept-Encoding": "gzip"})
    assert scrape.headers["Content-Encoding"] == "gzip"
    large = [connect(service.port) for _ in range(12)]
    for connection in large:
        path = f"/greeter/noise?size={MAX_SIZE}"
        connection.sendall(request(path, "Accept-Encoding: gzip", "Connection: close"))
    handled = "/greeter/noises"
    service.wait_for(lambda: service.get(handled).json["data"] == 12, "all are handled")
    get(service, "/metrics", {**WITH_TOKEN, "Accept-Encoding": "gzip"})
    waiting = [connection for connection in large if not select.select([connection], [], [], 0)[0]]
    assert waiting, "the page came before the last of them"
    for connection in large:
        assert b"Content-Encoding: gzip" in read_to_end(connection)
        connection.close()


def test_very_large_bodies_are_sent_as_they_are(service: Service) -> None:
    whole = get(service, f"/greeter/noise?size={MAX_SIZE + 1}", {"Accept-Encoding": "gzip"})
    assert len(whole.body) == MAX_SIZE + 1
    assert "Content-Encoding" not in whole.headers


@pytest.mark.parametrize(
    ("accepted", "allowed"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP;q=1.0", True),
        ("x-gzip", True),
        ("deflate, br", False),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;q=0.001", True),
        ("*;q=0, gzip", True),
        ("*, gzip;q=0", False),
        (",;,gzip ;x=y", True),
        ("notgzip", False),
    ],
)
def test_the_callers_wish_is_read_as_the_standard_says(accepted: str, allowed: bool) -> None:
    assert accepts_gzip(accepted) is allowed


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/health", {"Expect": "a-secret"}, 417, "expectation_failed"),
        ("/greeter/data", {"Expect": "a-secret"}, 417, "expectation_failed"),
        ("/nothing", {"Expect": "a-secret"}, 417, "expectation_failed"),
        ("/health?a-secret=" + "a" * 9_000, {}, 414, "uri_too_long"),
        ("/health", {"Cookie": "/a-secret" * 1_000}, 431, "request_header_fields_too_large"),
        (
            "/health",
            {f"a-secret-{number}": "" for number in range(99)} | {"Cookie": "/" * 9_000},
            431,
            "request_header_fields_too_large",
        ),
        ("/health", {"a-secret": "a\x01b"}, 400, "malformed_request"),
    ],
)
def test_refused_requests_get_the_common_shape_and_no_echo(
    service: Service, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
        with connection.makefile("rb") as stream:
            first, _, rest = stream.read().partition(b"\r\n")
    assert first.split()[1] == str(status).encode()
    body = json.loads(rest.partition(b"\r\n\r\n")[2])
    assert (body["success"], body["error"]["code"]) == (False, code)
    assert b"a-secret" not in rest


def test_production_warns_once_about_public_metrics(launch: Launch) -> None:
    environ = {**PRODUCTION, "ALIAPORT_METRICS_AUTH": "false", "ALIAPORT_HOST": "0.0.0.0"}
    public = launch(GOOD, environ=environ, folder="public")
    private = launch(
        GOOD,
        environ={**environ, "ALIAPORT_INTERNAL_PORT": str(free_port())},
        folder="private",
    )
    (event,) = public.wait_events("service.metrics_public")
    assert "ALIAPORT_METRICS_AUTH" in event["aliaport.hint"]
    assert public.get("/metrics").status == 200, "open by default, as the specification says"
    assert public.get("/metrics", headers=WITH_TOKEN).status == 200
    assert private.events("service.metrics_public") == []
