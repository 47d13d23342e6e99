"""The log of the whole service: which event stands where, with whose identity, without secrets."""

import http.client
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.ecs import parsed
from tests.support.fixtures import Launch
from tests.support.service import LOG_FILES, Service, free_port
from tests.support.tmpfs import run_on_tmpfs

pytestmark = pytest.mark.service

TALKING = {"talking": "aliaport_rogues.talking:Talking"}
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def lines(service: Service) -> dict[str, list[dict[str, Any]]]:
    """The lines of each file, each held against the schema, those of other processes too."""
    folder = service.folder / "logs"
    return {
        name: [parsed(line) for line in (folder / name).read_bytes().splitlines(keepends=True)]
        for name in LOG_FILES
    }


def ended(service: Service) -> dict[str, list[dict[str, Any]]]:
    service.signal()
    assert service.wait_ended() == 0
    return lines(service)


def test_every_event_stands_in_one_file_and_fits_the_schema(launch: Launch) -> None:
    service = launch(
        {**TALKING, "broken": "aliaport_rogues.import_fails:X"},
        apps={"greeter": "aliaport_rogues.mounted:app"},
    )
    service.get("/status")
    for path in ("/greeter/greet/x", "/greeter/fail", "/nothing"):
        service.get(path)
    found = ended(service)
    ids = [line["event.id"] for each in found.values() for line in each]
    assert len(set(ids)) == len(ids)
    for name, each in found.items():
        assert {line["event.dataset"] for line in each} == {f"aliaport.{name.removesuffix('.log')}"}
        assert each[0]["message"] == "log.opened"
    assert {line["log.level"] for line in found["error.log"][1:]} == {"error"}
    assert {line["message"] for line in found["error.log"][1:]} == {
        "plugin.rejected", "request.failed", "talking.failed",
    }  # fmt: skip
    assert {line["message"] for line in found["api.log"][1:]} == {"request.answered"}
    assert not {line["log.level"] for line in found["app.log"]} & {"error"}
    everything = json.dumps(found)
    assert "geheim123" not in everything
    assert "abcdefghijkl" not in everything
    constant = re.compile(r"[a-z_]+\.[a-z_]+")
    for each in found.values():
        for line in each:
            assert constant.fullmatch(line["message"]), "names are constant"


def test_the_audit_log_tells_what_was_loaded_applied_and_drained(launch: Launch) -> None:
    service = launch(
        {**TALKING, "broken": "aliaport_rogues.import_fails:X"},
        environ={"ALIAPORT_STATUS_TOKEN": "a-very-secret-token-of-ours"},
    )
    service.get("/status/on_loop")
    found = ended(service)["audit.log"]
    loads = {
        line["aliaport.plugin"]: line["event.outcome"]
        for line in found
        if line["message"] == "plugin.load"
    }
    assert loads == {"talking": "success", "broken": "failure"}
    (refused,) = [line for line in found if line.get("aliaport.plugin") == "broken"]
    assert refused["aliaport.stage"] == "import"
    (applied,) = [line for line in found if line["message"] == "configuration.apply"]
    assert applied["labels.config_environment"] == "development"
    assert json.loads(applied["labels.config_loading"])["allow"] == ["talking", "broken"]
    assert "a-very-secret-token-of-ours" not in json.dumps(found)
    assert [line["message"] for line in found][-1] == "service.drain"
    (own,) = [line for line in found if line["message"] == "talking.audited"]
    assert (own["user.name"], own["aliaport.plugin"]) == ("ayşe", "talking")


def test_the_identity_of_a_request_is_in_its_lines_answer_and_errors(launch: Launch) -> None:
    service = launch(TALKING, apps={"greeter": "aliaport_rogues.mounted:app"})
    headers = {"X-Request-ID": "order-4711", "traceparent": PARENT}
    answer = service.get("/status", headers=headers)
    assert answer.headers["X-Request-ID"] == "order-4711"
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-01", answer.headers["traceparent"])
    assert answer.headers["traceparent"] != PARENT, "our span is another one"
    failed = service.get("/greeter/fail", headers=headers)
    error = failed.json["error"]
    assert (error["request_id"], error["trace_id"]) == ("order-4711", TRACE)
    unknown = service.get("/nothing")
    assert unknown.json["error"]["request_id"] == unknown.headers["X-Request-ID"]
    found = ended(service)
    told = [line for each in found.values() for line in each if line.get("trace.id") == TRACE]
    assert {line["message"] for line in told} >= {
        *("talking.on_loop", "talking.in_thread", "talking.failed", "talking.audited"),
        *("library.message", "request.failed", "request.answered"),
    }, "also across a bulkhead, from its loop and from its threads"
    assert {line["http.request.id"] for line in told} == {"order-4711"}
    (job,) = [line for line in found["app.log"] if line["message"] == "talking.in_job"]
    assert "trace.id" not in job
    assert {line["process.thread.name"] for line in told if "process.thread.name" in line} >= {
        "plugin-talking", "plugin-talking-probe-in_thread", "MainThread",
    }  # fmt: skip


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
def test_insane_identities_are_replaced(launch: Launch, headers: dict[str, str]) -> None:
    answer = launch(TALKING).get("/health", headers=headers)
    assert answer.status == 200
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-ID"])
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", answer.headers["traceparent"])


def requests(service: Service) -> list[tuple[str, int]]:
    return [
        (line["url.path"], line["http.response.status_code"])
        for line in lines(service)["api.log"]
        if line["message"] == "request.answered"
    ]


def test_probes_and_scrapes_are_logged_only_where_there_is_something_to_say(launch: Launch) -> None:
    good = {"good": "aliaport_rogues.good:Good"}
    service = launch(good, environ={"ALIAPORT_DRAIN_SECONDS": "30"})
    for _ in range(5):
        for path in ("/health", "/ready", "/status", "/status/good", "/metrics", "/"):
            assert service.get(path).status == 200
    service.get("/nothing")
    service.wait_for(lambda: requests(service) == [("/nothing", 404)], "only that is logged")
    service.signal()
    service.wait_for(lambda: service.get("/ready").status == 503, "it drains")
    service.wait_for(lambda: ("/ready", 503) in requests(service), "the failed ones are logged")
    service.signal()
    assert service.wait_ended() == 0


def test_every_request_is_logged_where_asked(launch: Launch) -> None:
    service = launch(
        {"good": "aliaport_rogues.good:Good"}, environ={"ALIAPORT_LOG__PROBE_REQUESTS": "true"}
    )
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


def test_a_caller_cannot_choose_the_address_before_the_proxy_s_line(launch: Launch) -> None:
    """HAProxy leaves the caller's X-Forwarded-For alone and adds a line of its own."""
    service = launch(
        {"good": "aliaport_rogues.good:Good"}, config='trusted_proxies = ["127.0.0.0/8"]\n'
    )
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    connection.putrequest("GET", "/nothing")
    for line in ("198.51.100.9", "192.0.2.7"):
        connection.putheader("X-Forwarded-For", line)
    connection.endheaders()
    assert connection.getresponse().status == 404
    connection.close()
    (line,) = [
        each for each in ended(service)["api.log"] if each.get("aliaport.endpoint") == "unmatched"
    ]
    assert line["client.ip"] == "192.0.2.7"


def test_slow_probes_are_logged(launch: Launch) -> None:
    service = launch(
        {"good": "aliaport_rogues.good:Good"}, environ={"ALIAPORT_LOG__SLOW_REQUEST_MS": "100"}
    )
    service.get("/health")
    service.get("/status")
    service.wait_for(lambda: requests(service) == [("/status", 200)], "the slow one is logged")


def test_the_log_row_of_status_and_the_metrics(launch: Launch) -> None:
    service = launch(TALKING)
    row = service.get("/status/log").json["data"]
    assert (row["plugin"], row["status"], row["code"]) == ("aliaport", "healthy", "ok")
    assert row["data"]["dropped"] == 0
    assert row["data"]["last_write_s_ago"] < 60
    page = service.get("/metrics").text
    assert 'aliaport_log_events_written_total{file="app.log",level="info"}' in page
    assert 'aliaport_log_events_dropped_total{file="error.log",level="error"} 0' in page
    assert 'aliaport_probe_status{plugin="aliaport",probe="log"} 2' in page


def test_a_plugin_cannot_take_the_log_s_name(launch: Launch) -> None:
    service = launch({"taker": "aliaport_rogues.bad_lives:NamedLog"})
    (row,) = service.get("/status").json["data"]["plugins"]
    assert (row["state"], row["stage"]) == ("rejected", "collision")
    assert service.get("/status/log").json["data"]["plugin"] == "aliaport"


@pytest.mark.needs("root", "unshare")
def test_a_full_disk_is_shown_and_the_service_goes_on(tmp_path: Path) -> None:
    script = Path(__file__).with_name("support") / "full_service.py"
    story = json.loads(run_on_tmpfs(script, tmp_path / "small", "8m"))
    assert (story["status"], story["code"]) == ("unhealthy", "disk_full")
    assert story["health"] == story["ready"] == 200
    assert story["healed"] == "ok"


def test_a_second_service_in_the_folder_is_exit_2(launch: Launch) -> None:
    first = launch(TALKING)
    second = launch(
        wait="", environ={"ALIAPORT_LOG__FOLDER": str(first.folder / "logs")}, folder="b"
    )
    assert second.wait_ended() == 2
    assert "another service writes its logs" in second.output()
    assert "ALIAPORT_LOG__FOLDER" in second.output()


def serve(tmp_path: Path, *, stdout: int, **environ: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "aliaport", "serve"],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "TERM": "xterm",
            "ALIAPORT_PORT": str(free_port()),
            "ALIAPORT_LOADING__ALLOW": "disk",
            **environ,
        },
        stdout=stdout,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )


def test_json_on_standard_output_only_where_asked(tmp_path: Path) -> None:
    process = serve(tmp_path, stdout=subprocess.PIPE, ALIAPORT_LOG__STDOUT="true")
    assert process.stdout is not None
    for line in process.stdout:
        if parsed(line)["message"] == "service.started":
            break
    process.terminate()
    rest = process.communicate(timeout=30)[0].splitlines(keepends=True)
    assert {parsed(line)["message"] for line in rest} >= {"service.stopped", "service.drain"}
    quiet = serve(tmp_path, stdout=subprocess.PIPE)
    with pytest.raises(subprocess.TimeoutExpired):
        quiet.communicate(timeout=3)
    quiet.terminate()
    assert quiet.communicate(timeout=30)[0] == b""


def test_a_terminal_gets_readable_lines(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    process = serve(tmp_path, stdout=follower, ENVIRONMENT="development")
    os.close(follower)
    shown = ""
    while "service.started" not in shown:
        shown += os.read(leader, 65_536).decode()
    process.terminate()
    process.wait(30)
    os.close(leader)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert re.search(r"\d\d:\d\d:\d\d\.\d{3} \[info +\] service\.started", plain)
    assert '{"' not in plain
