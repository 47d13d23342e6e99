"""The endpoints as callers see them, over real sockets of the real process."""

import json
import re
import resource
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aliaport.doctor.metrics_page import SPELLINGS
from tests.support.fixtures import Launch
from tests.support.service import Service, free_port, patient, running

GOOD = {"good": "aliaport_rogues.good:Good"}
TOKEN = "a-token-of-sixteen-characters"
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
pytestmark = pytest.mark.service

SYSTEM = ("cpu", "disk", "memory")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run a service that the tests of this module only read."""
    with running(
        tmp_path_factory.mktemp("read"),
        GOOD,
        allow=SYSTEM,
        config=patient("good", "counting", "cpu", "memory", "disk_root"),
    ) as service:
        yield service


def counted(service: Service, labels: str) -> float:
    """Return the number of requests that the service has counted under these labels."""
    page = service.get("/metrics").text
    found = re.search(
        rf"^aliaport_http_requests_total{{{re.escape(labels)}}} (.+)$", page, re.MULTILINE
    )
    return float(found[1]) if found else 0.0


def test_the_bodies_have_the_shapes_of_the_specification(service: Service) -> None:
    health = service.get("/health").json
    assert TIMESTAMP.fullmatch(health.pop("timestamp"))
    assert health == {"status": "healthy", "service": "aliaport-api", "version": "3.1.0"}

    ready = service.get("/ready").json
    assert TIMESTAMP.fullmatch(ready["data"].pop("timestamp"))
    assert ready == {"success": True, "data": {"status": "ready", "good": "up"}}

    status = service.get("/status").json["data"]
    assert list(status) == [
        *("service", "version", "status", "timestamp", "uptime_seconds", "system", "database"),
        *("environment", "probes", "plugins"),
    ]
    assert list(status["system"]) == [
        *("cpu_percent", "memory_percent", "memory_available_mb", "disk_percent", "disk_free_gb")
    ]
    assert all(isinstance(value, int | float) for value in status["system"].values()), status
    assert status["database"] == {"status": None, "engine": None}
    probe = next(row for row in status["probes"] if row["name"] == "good")
    assert TIMESTAMP.fullmatch(probe["checked_at"])
    assert 0 <= probe["duration_ms"] < 5_000


def test_every_path_allows_head_and_options_and_sends_no_store(service: Service) -> None:
    probed = ("/health/", "/ready/")
    for path in ("/", "/health", "/ready", "/status", "/status/good", "/metrics", *probed):
        got = service.get(path)
        assert (got.status, got.headers["Cache-Control"]) == (200, "no-store"), path
        head = service.get(path, method="HEAD")
        assert (head.status, head.text) == (200, "")
        options = service.get(path, method="OPTIONS")
        assert (options.status, options.headers["Allow"]) == (200, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize("path", SPELLINGS)
def test_other_spellings_are_not_found(service: Service, path: str) -> None:
    for method in ("GET", "HEAD", "OPTIONS"):
        assert service.get(path, method=method).status == 404


def test_http_1_0_without_host_is_accepted(service: Service) -> None:
    for request in (b"OPTIONS / HTTP/1.0\r\n\r\n", b"GET /ready HTTP/1.0\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
            connection.sendall(request)
            response = b""
            while chunk := connection.recv(4096):
                response += chunk
        assert b" 200 " in response.splitlines()[0]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/status/nothing", 404, "unknown_probe"),
        ("POST", "/health", 405, "method_not_allowed"),
        ("TRACE", "/health", 405, "method_not_allowed"),
        ("GET", "/ready?include=nothing", 400, "unknown_probe"),
        ("GET", "/status?exclude=goood", 400, "unknown_probe"),
    ],
)
def test_all_errors_have_the_same_shape(
    service: Service, method: str, path: str, status: int, code: str
) -> None:
    response = service.get(path, method=method)
    assert response.status == status
    assert response.headers["Cache-Control"] == "no-store"
    body = response.json
    assert set(body) == {"success", "error"}
    assert (body["success"], body["error"]["code"]) == (False, code)
    if "goood" in path:
        assert "did you mean 'good'?" in body["error"]["message"]


def test_include_and_exclude_select_probes(service: Service) -> None:
    everything = [row["name"] for row in service.get("/status").json["data"]["probes"]]
    assert everything == ["log", "cpu", "disk_root", "good", "counting", "memory"]
    names = [row["name"] for row in service.get("/status?include=good").json["data"]["probes"]]
    assert names == ["good"]
    names = [row["name"] for row in service.get("/status?exclude=good").json["data"]["probes"]]
    assert names == [name for name in everything if name != "good"]
    assert "good" not in service.get("/ready?exclude=good").json["data"]
    assert service.get("/ready?include=counting").json["data"]["counting"] == "healthy"
    text = service.get("/ready?verbose").text
    assert text == "[+]good ok (all is well)\nready check passed\n"


def test_production_shows_details_only_with_a_token(launch: Launch, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("another-token-of-a-file\n")
    service = launch(
        {**GOOD, "bad": "aliaport_rogues.bad_probes:Raising", "gone": "aliaport_rogues.nothing:X"},
        environ={
            "ENVIRONMENT": "production",
            "ALIAPORT_HOST": "127.0.0.1",
            "ALIAPORT_DRAIN_SECONDS": "0",
            "ALIAPORT_STATUS_TOKEN": f"{TOKEN},second-token-for-rotation",
            "ALIAPORT_STATUS_TOKEN_FILE": str(file),
        },
        config=patient("good", "rogue_raising"),
    )
    public = service.get("/status").text
    for secret in ("is wrong", "all is well", "where", "reason", "hint", "summary", "rogues 1.0"):
        assert secret not in public
    assert json.loads(public)["data"]["probes"][1]["code"] == "error"
    for token in (TOKEN, "second-token-for-rotation", "another-token-of-a-file"):
        shown = service.get("/status", headers={"Authorization": f"Bearer {token}"}).text
        assert "all is well" in shown
        assert "where" in shown
        assert "hint" in shown
    refused = service.get("/status", headers={"Authorization": "Bearer nonsense"}).text
    assert "all is well" not in refused
    service.wait_events("status_token.refused")
    file.write_text("a-new-token-in-the-file\n# comment\nshort\n")
    headers = {"Authorization": "Bearer a-new-token-in-the-file"}
    service.wait_for(
        lambda: "all is well" in service.get("/status", headers=headers).text, "the file is re-read"
    )
    (event,) = service.wait_events("status_token.unreadable")
    assert event["reason"].endswith("tokens: line 3: a token must have at least 16 characters")
    gone = {"Authorization": "Bearer another-token-of-a-file"}
    assert "all is well" not in service.get("/status", headers=gone).text
    file.unlink()
    service.wait_for(
        lambda: "all is well" not in service.get("/status", headers=headers).text,
        "the tokens of the deleted file are no longer valid",
    )


def test_callers_cannot_create_series(service: Service) -> None:
    unmatched = [
        'endpoint="unmatched",method="GET",status="404"',
        'endpoint="unmatched",method="OTHER",status="405"',
        'endpoint="unmatched",method="OTHER",status="400"',
    ]
    before = [counted(service, labels) for labels in unmatched]
    for number in range(20):
        service.get(f"/made-up-{number}")
        assert service.get("/health", method="PROPFIND").status == 405
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(b"\x00 nonsense\r\n\r\n")
        connection.recv(4096)
    page = service.get("/metrics").text
    after = [counted(service, labels) for labels in unmatched]
    assert [new - old for new, old in zip(after, before, strict=True)] == [20, 20, 1]
    assert "made-up" not in page
    assert "PROPFIND" not in page


def test_a_caller_that_disconnects_is_counted_and_changes_nothing(service: Service) -> None:
    labels = 'endpoint="/status",method="GET",status="200"'
    before = counted(service, labels)
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
            connection.sendall(b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n")
    service.wait_for(
        lambda: counted(service, labels) == before + 3,
        "requests of callers that disconnected are counted",
    )
    assert service.get("/status/good").json["data"]["status"] == "healthy"


def test_a_thousand_callers_share_one_run(launch: Launch) -> None:
    # A thousand connections, here and in the service, which inherits the limit.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4_096)), hard))
    service = launch(
        {"gated": "aliaport_rogues.good:Gated"}, environ={"ALIAPORT_STATUS_TIMEOUT": "50"}
    )
    callers = [socket.create_connection(("127.0.0.1", service.port), 50) for _ in range(1_000)]
    request = b"GET /status/gated HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for caller in callers:
        caller.sendall(request)
    joined = 'aliaport_probe_joined_total{plugin="gated",probe="gated"} 999.0'
    service.wait_for(lambda: joined in service.get("/metrics").text, "999 callers have joined")
    (service.folder / "open").touch()
    for caller in callers:
        with caller, caller.makefile("rb") as stream:
            head, _, body = stream.read().partition(b"\r\n\r\n")
        assert b" 200 " in head.splitlines()[0]
        assert json.loads(body)["data"]["data"] == {"runs": 1}


def test_a_flood_of_requests_causes_no_false_alarm(service: Service) -> None:
    start = threading.Barrier(50)

    def call(number: int) -> int:
        if number < 50:
            start.wait(20)
        return service.get("/ready?include=good,counting").status

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(call, range(1_000))) == {200}


def test_a_second_listener_removes_status_and_metrics_from_the_public_one(launch: Launch) -> None:
    service = launch(
        GOOD, environ={"ALIAPORT_INTERNAL_PORT": str(free_port())}, config=patient("good")
    )
    for path in ("/status", "/metrics", "/status/good"):
        assert service.get(path).status == 404
        assert service.get(path, port=service.internal_port).status == 200
    assert service.get("/ready").status == 200


def test_required_plugins_and_the_minimum_interval(launch: Launch) -> None:
    service = launch(
        GOOD,
        config=patient("good", "counting")
        + 'min_interval = 600\n[selection]\nrequired = ["absent"]\n',
    )
    ready = service.get("/ready")
    assert (ready.status, ready.json["error"]["code"]) == (503, "plugin_missing")
    assert ready.json["error"]["message"] == "absent: not installed"
    assert ready.headers["Retry-After"] == "1"
    assert service.get("/status").json["data"]["status"] == "unhealthy"
    runs = {service.get("/status/counting").json["data"]["data"]["runs"] for _ in range(5)}
    assert len(runs) == 1
