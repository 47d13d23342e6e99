"""The log of the whole service: each event in its file, with its identity, without secrets."""

import http.client
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.ecs import parsed
from tests.support.fixtures import Launch
from tests.support.service import LOG_FILES, Response, Service, free_port, patient, running
from tests.support.tmpfs import run_on_tmpfs
from tests.support.waiting import wait_until

pytestmark = pytest.mark.service

GOOD = {"good": "aliaport_rogues.good:Good"}
TALKING = {"talking": "aliaport_rogues.talking:Talking"}
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
TOKEN = "a-very-secret-token-of-ours"


def lines(service: Service) -> dict[str, list[dict[str, Any]]]:
    """Return the lines of each file, checked against the schema, including those of other processes."""
    folder = service.folder / "logs"
    return {
        name: [parsed(line) for line in (folder / name).read_bytes().splitlines(keepends=True)]
        for name in LOG_FILES
    }


def ended(service: Service) -> dict[str, list[dict[str, Any]]]:
    service.signal()
    assert service.wait_ended() == 0
    return lines(service)


@dataclass(frozen=True)
class Run:
    """The log lines and responses of a service that has exited."""

    lines: dict[str, list[dict[str, Any]]]
    responses: dict[str, Response]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run a service with a plugin that logs, a rejected plugin and an app."""
    identity = {"X-Request-ID": "order-4711", "traceparent": PARENT}
    with running(
        tmp_path_factory.mktemp("finished"),
        {**TALKING, "broken": "aliaport_rogues.import_fails:X"},
        {"greeter": "aliaport_rogues.mounted:app"},
        environ={"ALIAPORT_STATUS_TOKEN": TOKEN},
        config=patient("on_loop", "in_thread"),
    ) as service:
        service.get("/greeter/greet/x")
        responses = {
            "/status": service.get("/status", headers=identity),
            "/greeter/fail": service.get("/greeter/fail", headers=identity),
            "/nothing": service.get("/nothing"),
        }
        service.wait_events("talking.in_job")
        return Run(ended(service), responses)


def test_every_event_is_in_one_file_and_matches_the_schema(finished: Run) -> None:
    ids = [line["event.id"] for lines in finished.lines.values() for line in lines]
    assert len(set(ids)) == len(ids)
    for name, lines in finished.lines.items():
        assert {line["event.dataset"] for line in lines} == {
            f"aliaport.{name.removesuffix('.log')}"
        }
        assert lines[0]["message"] == "log.opened"
    assert {line["log.level"] for line in finished.lines["error.log"][1:]} == {"error"}
    assert {line["message"] for line in finished.lines["error.log"][1:]} == {
        "plugin.rejected", "request.failed", "talking.failed",
    }  # fmt: skip
    assert {line["message"] for line in finished.lines["api.log"][1:]} == {"request.answered"}
    assert not {line["log.level"] for line in finished.lines["app.log"]} & {"error"}
    everything = json.dumps(finished.lines)
    assert "geheim123" not in everything
    assert "abcdefghijkl" not in everything
    constant = re.compile(r"[a-z_]+\.[a-z_]+")
    for lines in finished.lines.values():
        for line in lines:
            assert constant.fullmatch(line["message"]), "event names are constant"


def test_the_audit_log_records_loading_configuration_and_drain(finished: Run) -> None:
    found = finished.lines["audit.log"]
    loads = {
        line["aliaport.plugin"]: line["event.outcome"]
        for line in found
        if line["message"] in ("plugin.loaded", "plugin.rejected")
    }
    assert loads == {"talking": "success", "broken": "failure", "greeter": "success"}
    (refused,) = [line for line in found if line.get("aliaport.plugin") == "broken"]
    assert refused["aliaport.stage"] == "import"
    (applied,) = [line for line in found if line["message"] == "configuration.applied"]
    assert applied["labels.config_environment"] == "development"
    masked = {name for name, value in applied.items() if "***" in str(value)}
    assert masked == {"labels.config_status_token"}
    assert applied["labels.config_metrics_auth"] == "false"
    selection = json.loads(applied["labels.config_selection"])
    assert selection["allow"] == ["talking", "broken", "greeter"]
    assert TOKEN not in json.dumps(finished.lines)
    assert [line["message"] for line in found][-1] == "service.drain_started"
    (own,) = [line for line in found if line["message"] == "talking.audited"]
    assert (own["user.name"], own["aliaport.plugin"]) == ("ayşe", "talking")


def test_the_identity_of_a_request_is_in_its_lines_response_and_errors(finished: Run) -> None:
    response = finished.responses["/status"]
    assert response.headers["X-Request-ID"] == "order-4711"
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-01", response.headers["traceparent"])
    assert response.headers["traceparent"] != PARENT, "the span is a new one"
    error = finished.responses["/greeter/fail"].json["error"]
    assert (error["request_id"], error["trace_id"]) == ("order-4711", TRACE)
    unknown = finished.responses["/nothing"]
    assert unknown.json["error"]["request_id"] == unknown.headers["X-Request-ID"]
    own = [
        line for lines in finished.lines.values() for line in lines if line.get("trace.id") == TRACE
    ]
    assert {line["message"] for line in own} >= {
        *("talking.on_loop", "talking.in_thread", "talking.failed", "talking.audited"),
        *("stdlib.message", "request.failed", "request.answered"),
    }, "also from the loop and the threads of a bulkhead"
    assert {line["http.request.id"] for line in own} == {"order-4711"}
    (job,) = [line for line in finished.lines["app.log"] if line["message"] == "talking.in_job"]
    assert "trace.id" not in job
    assert {line["process.thread.name"] for line in own if "process.thread.name" in line} >= {
        "plugin-talking", "plugin-talking-probe-in_thread", "MainThread",
    }  # fmt: skip


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run a service that the tests only read."""
    with running(tmp_path_factory.mktemp("talking"), TALKING) as service:
        yield service


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Request-ID": "x" * 65},
        {"X-Request-ID": "a b"},
        {"X-Request-ID": "<script>"},
        {"traceparent": "00-00000000000000000000000000000000-b7ad6b7169203331-01"},
        {"traceparent": f"ff-{TRACE}-b7ad6b7169203331-01"},
        {"traceparent": f"00-{TRACE.upper()}-b7ad6b7169203331-01"},
        {"traceparent": "nonsense"},
    ],
)
def test_invalid_identities_are_replaced(talking: Service, headers: dict[str, str]) -> None:
    response = talking.get("/health", headers=headers)
    assert response.status == 200
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-ID"])
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", response.headers["traceparent"])


def requests(service: Service) -> list[tuple[str, int]]:
    return [
        (line["url.path"], line["http.response.status_code"])
        for line in lines(service)["api.log"]
        if line["message"] == "request.answered"
    ]


def test_probes_and_scrapes_are_logged_only_if_they_fail_or_are_slow(launch: Launch) -> None:
    # No request counts as slow, however slow this machine is.
    service = launch(
        GOOD,
        environ={"ALIAPORT_DRAIN_SECONDS": "600", "ALIAPORT_LOG__SLOW_REQUEST_MS": "600000"},
        config=patient("good", "counting"),
    )
    for _ in range(5):
        for path in ("/health", "/ready", "/status", "/status/good", "/metrics", "/"):
            assert service.get(path).status == 200
    service.get("/nothing")
    service.wait_for(
        lambda: requests(service) == [("/nothing", 404)], "only the failed request is logged"
    )
    service.signal()
    service.wait_for(lambda: service.get("/ready").status == 503, "it drains")
    service.wait_for(lambda: ("/ready", 503) in requests(service), "the failed requests are logged")
    service.signal()
    assert service.wait_ended() == 0


def test_every_request_is_logged_if_configured(launch: Launch) -> None:
    service = launch(GOOD, environ={"ALIAPORT_LOG__PROBE_REQUESTS": "true"})
    agent = {"User-Agent": "kube-probe/1.31", "X-Forwarded-For": "192.0.2.1"}
    service.get("/health", headers=agent)
    (line,) = [
        line
        for line in ended(service)["api.log"]
        if line.get("user_agent.original") == "kube-probe/1.31"
    ]
    assert line["client.ip"] == line["client.address"] == "127.0.0.1"
    assert line["event.category"] == ["web"]
    assert line["event.outcome"] == "success"
    assert line["event.duration"] >= 0
    assert line["aliaport.endpoint"] == "/health"
    assert line["http.response.body.bytes"] > 50


def test_a_caller_cannot_forge_the_address_that_the_proxy_adds(launch: Launch) -> None:
    """Send two headers: HAProxy keeps the caller's X-Forwarded-For and adds its own."""
    service = launch(GOOD, config='trusted_proxies = ["127.0.0.0/8"]\n')
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    connection.putrequest("GET", "/nothing")
    for address in ("198.51.100.9", "192.0.2.7"):
        connection.putheader("X-Forwarded-For", address)
    connection.endheaders()
    assert connection.getresponse().status == 404
    connection.close()
    (line,) = [
        line for line in ended(service)["api.log"] if line.get("aliaport.endpoint") == "unmatched"
    ]
    assert line["client.ip"] == "192.0.2.7"


def test_slow_probes_are_logged(launch: Launch) -> None:
    service = launch(
        GOOD,
        environ={"ALIAPORT_LOG__SLOW_REQUEST_MS": "200"},
        config=patient("good", "counting"),
    )
    service.get("/status")
    service.wait_for(lambda: ("/status", 200) in requests(service), "the slow request is logged")


def test_the_log_row_of_status_and_the_metrics(talking: Service) -> None:
    row = talking.get("/status/log").json["data"]
    assert (row["plugin"], row["status"], row["code"]) == ("aliaport", "healthy", "ok")
    assert row["data"]["dropped"] == 0
    assert row["data"]["last_write_s_ago"] < 600
    page = talking.get("/metrics").text
    assert 'aliaport_log_events_written_total{file="app.log",level="info"}' in page
    assert 'aliaport_log_events_dropped_total{file="error.log",level="error"} 0' in page
    assert 'aliaport_probe_status{plugin="aliaport",probe="log"} 2' in page


def test_a_plugin_cannot_use_the_name_log(launch: Launch) -> None:
    service = launch({"taker": "aliaport_rogues.bad_lives:NamedLog"})
    (row,) = service.get("/status").json["data"]["plugins"]
    assert (row["state"], row["stage"]) == ("rejected", "collision")
    assert service.get("/status/log").json["data"]["plugin"] == "aliaport"


@pytest.mark.needs("root", "unshare")
def test_a_full_disk_is_reported_and_the_service_keeps_running(tmp_path: Path) -> None:
    script = Path(__file__).parents[1] / "support/full_service.py"
    story = json.loads(run_on_tmpfs(script, tmp_path / "small", "8m"))
    assert (story["status"], story["code"]) == ("unhealthy", "disk_full")
    assert story["health"] == story["ready"] == 200
    assert story["healed"] == "ok"


def test_a_second_service_in_the_folder_exits_with_2(launch: Launch, talking: Service) -> None:
    second = launch(wait="", environ={"ALIAPORT_LOG__FOLDER": str(talking.folder / "logs")})
    assert second.wait_ended() == 2
    assert "another service writes its logs" in second.output()
    assert "ALIAPORT_LOG__FOLDER" in second.output()


@contextmanager
def serve(tmp_path: Path, *, stdout: int, **environ: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the service with this standard output until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "aliaport", "serve"],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "TERM": "xterm",
            "ALIAPORT_PORT": str(free_port()),
            "ALIAPORT_SELECTION__ALLOW": "disk",
            **environ,
        },
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_json_on_standard_output_if_configured(tmp_path: Path) -> None:
    with serve(tmp_path, stdout=subprocess.PIPE, ALIAPORT_LOG__STDOUT="true") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if parsed(line)["message"] == "service.started":
                break
        process.terminate()
        rest = process.stdout.readlines()
    assert {parsed(line)["message"] for line in rest} >= {
        "service.stopped",
        "service.drain_started",
    }


def test_a_pipe_gets_nothing_by_default(tmp_path: Path) -> None:
    with serve(tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        log = tmp_path / "logs/app.log"
        wait_until(
            lambda: '"message":"service.started"' in log.read_text(), "the service has started"
        )
        process.terminate()
        assert process.stdout.read() == b""


def test_a_terminal_gets_readable_lines_with_colours(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    try:
        with serve(tmp_path, stdout=follower, ENVIRONMENT="development") as process:
            os.close(follower)
            shown = b""
            while b"service.started" not in shown:
                shown += os.read(leader, 65_536)
            process.terminate()
            process.wait(60)
    finally:
        os.close(leader)
    text = shown.decode("utf-8", "replace")
    assert "\x1b[" in text, "the output has colours"
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert re.search(r"\d\d:\d\d:\d\d\.\d{3} \[info +\] service\.started", plain)
    assert '{"' not in plain
    assert '"message":"service.started"' in (tmp_path / "logs/app.log").read_text()
