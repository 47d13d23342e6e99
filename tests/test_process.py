"""The life of the real process: signals, drains, ports, folders, users."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support import commands
from tests.support.fixtures import Launch
from tests.support.service import Service, free_port, patient

pytestmark = pytest.mark.service

GOOD = {"good": "aliaport_rogues.good:Good"}


def test_a_drain_reports_503_first_and_serves_until_a_second_signal(launch: Launch) -> None:
    service = launch(GOOD, environ={"ALIAPORT_DRAIN_SECONDS": "600"})
    service.signal()
    service.wait_for(lambda: service.get("/ready").status == 503, "/ready is 503")
    ready = service.get("/ready")
    assert ready.json["error"]["code"] == "draining"
    assert 1 <= int(ready.headers["Retry-After"]) <= 600
    assert ready.headers["Connection"] == "close"
    assert service.get("/", method="OPTIONS").status == 503
    health = service.get("/health")
    assert (health.status, health.headers["Connection"]) == (200, "close")
    service.signal(signal.SIGINT)
    assert service.wait_ended() == 0
    assert len(service.events("service.draining")) == 1


def test_a_drain_takes_the_configured_time(launch: Launch) -> None:
    service = launch(GOOD, environ={"ALIAPORT_DRAIN_SECONDS": "1"})
    service.signal()
    assert service.wait_ended() == 0
    (draining,) = service.events("service.draining")
    (stopped,) = service.events("service.stopped")
    assert draining["seconds"] == 1
    assert moment(stopped) - moment(draining) >= timedelta(seconds=0.99)


def moment(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["@timestamp"])


def test_a_third_signal_exits_at_once(launch: Launch) -> None:
    service = launch(
        {**GOOD, "rogue": "aliaport_rogues.bad_lives:StopBlocks"},
        environ={"ALIAPORT_DRAIN_SECONDS": "600"},
    )
    service.signal()
    service.wait_events("service.draining")
    # Two different ones: signals of one kind merge while the first is pending.
    service.signal(signal.SIGINT)
    service.signal(signal.SIGTERM)
    assert service.wait_ended() in (128 + signal.SIGINT, 128 + signal.SIGTERM)


def test_requests_in_flight_finish(launch: Launch) -> None:
    service = launch(GOOD, apps={"greeter": "aliaport_rogues.mounted:app"})
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    connection.request("GET", "/greeter/slow")
    service.wait_for(lambda: service.get("/health").status == 200, "the loop has run again")
    service.signal()
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"done")
    assert service.wait_ended() == 0


def test_sigterm_while_starting(launch: Launch) -> None:
    # If the drain waited for the import, the test would time out.
    limit = {"ALIAPORT_PLUGIN_LIMITS__IMPORT_TIMEOUT": "600"}
    hung = {"hung": "aliaport_rogues.import_hangs:X"}
    service = launch(hung, wait="listening", environ=limit)
    service.signal()
    assert service.wait_ended() == 0


def test_sighup_reopens_the_log(launch: Launch) -> None:
    service = launch(GOOD)
    log = service.folder / "logs" / "app.log"
    log.rename(log.with_suffix(".1"))
    service.signal(signal.SIGHUP)
    service.wait_for(log.exists, "the log file exists again")
    service.signal()
    assert service.wait_ended() == 0
    assert service.events("service.stopped")


def test_a_port_in_use_exits_with_2_and_names_the_fix(launch: Launch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        service = launch(wait="", environ={"ALIAPORT_PORT": port})
        assert service.wait_ended() == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in service.output()
    assert "set ALIAPORT_PORT" in service.output()


def test_an_unwritable_log_folder_exits_with_2(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    service = launch(wait="", environ={"ALIAPORT_LOG__FOLDER": str(tmp_path / "file" / "logs")})
    assert service.wait_ended() == 2
    assert "cannot be written" in service.output()
    assert "ALIAPORT_LOG__FOLDER" in service.output()


def test_a_later_failure_of_the_log_is_reported_and_the_service_keeps_running(
    launch: Launch,
) -> None:
    service = launch(GOOD, environ={"ALIAPORT_LOG__FOLDER": "logs"})
    logs = service.folder / "logs"
    logs.rename(service.folder / "away")
    logs.write_text("in the way")
    service.signal(signal.SIGHUP)
    service.wait_for(
        lambda: "cannot write the log" in service.output(), "the failure is on standard error"
    )
    assert service.get("/ready").status == 200
    logs.unlink()
    service.signal()
    assert service.wait_ended() == 0


def test_the_port_that_kubernetes_injects_is_ignored(launch: Launch) -> None:
    port = free_port()
    service = launch(
        wait="",
        config=f"port = {port}\n",
        environ={
            "ALIAPORT_PORT": "tcp://10.0.0.1:8000",
            "ALIAPORT_SERVICE_HOST": "10.0.0.1",
            "ALIAPORT_PORT_8000_TCP_ADDR": "10.0.0.1",
        },
    )
    service.port = port
    service.wait_listening()
    service.wait_started()
    assert not service.events("configuration.ignored")


def test_old_names_of_options_are_accepted_and_logged(launch: Launch) -> None:
    service = launch(
        apps={"greeter": "aliaport_rogues.mounted:app"},
        config="[apps.greeter]\nsalutation = 'ahoy'\n",
        environ={"ALIAPORT_READY_BUDGET": "0.7"},
    )
    assert service.get("/greeter/greet/x").json["text"] == "ahoy"
    expected = [
        "ALIAPORT_READY_BUDGET is deprecated and will be removed in 3.3; "
        "use ALIAPORT_READY_TIMEOUT",
        f"{service.folder / 'aliaport.toml'}: apps.greeter.salutation is deprecated and will be "
        "removed in 3.3; use apps.greeter.greeting",
    ]
    service.wait_for(
        lambda: (
            [event["problem"] for event in service.events("configuration.deprecated")] == expected
        ),
        "both old names are logged",
    )


def test_all_configuration_problems_come_in_one_message(tmp_path: Path) -> None:
    (tmp_path / "aliaport.toml").write_text(
        '[log]\nlevl = "x"\n[plugins.disk]\nmount = ["/"]\n[plugins.dsk]\n'
    )
    done = commands.aliaport(
        tmp_path,
        "serve",
        environ={"ALIAPORT_CONFIG": "aliaport.toml", "ALIAPORT_DRAIN_SECONDS": "long"},
    )
    assert done.code == 2
    assert "did you mean 'level'?" in done.err
    assert "ALIAPORT_DRAIN_SECONDS" in done.err


def test_all_problems_of_the_plugins_options_come_in_one_message(launch: Launch) -> None:
    service = launch(wait="", config="[plugins.disk]\nmount = ['/']\n[plugins.dsk]\n")
    assert service.wait_ended() == 2
    assert "did you mean 'mounts'?" in service.output()
    assert "did you mean 'disk'?" in service.output()


def test_production_does_not_start_without_a_url_that_a_plugin_needs(launch: Launch) -> None:
    service = launch(
        wait="", allow=("db",), environ={"ENVIRONMENT": "production", "ALIAPORT_HOST": "127.0.0.1"}
    )
    assert service.wait_ended() == 2
    assert "DATABASE_URL is not set" in service.output()
    run = commands.aliaport(service.folder, "plugins", "run", "db", environ=service.environ)
    assert (run.code, service.output().splitlines()[-1]) == (2, run.err.strip())


def test_a_start_that_fails_without_a_place_to_say_so_stops_the_embedded_database(
    launch: Launch,
) -> None:
    service = launch(
        wait="",
        allow=("db",),
        config="[probes.databases]\ncritical = false\n",
        prefix=("sh", "-c", 'exec "$@" 2>/dev/full', "sh"),
    )
    assert service.wait_ended() == 2
    assert service.events("database.embedded")
    assert "there is no probe 'databases'" in service.events("service.failed")[0]["reason"]
    assert service.events("service.stopped")
    (folder,) = {line["folder"] for line in service.events("database.embedded")}
    assert not (Path(folder) / "data/postmaster.pid").exists()


def wait_connected(service: Service) -> None:
    service.wait_for(
        lambda: service.get("/ready").json["data"]["database"] == "connected",
        "the database is connected",
    )


def not_ready(service: Service) -> Any:
    response = service.get("/ready")
    return response.json if response.status == 503 else None


def test_the_embedded_database_serves_survives_and_is_taken_over(launch: Launch) -> None:
    service = launch(allow=("db",))
    wait_connected(service)
    connected = {"engine": "postgresql", "status": "connected"}
    service.wait_for(
        lambda: service.get("/status").json["data"]["database"] == connected, "/status says so"
    )
    (event,) = service.wait_events("database.embedded")
    if os.geteuid() == 0:
        (warning,) = service.wait_events("service.runs_as_root")
        assert warning["log.level"] == "warning"
    postmaster = Path(event["folder"]) / "data" / "postmaster.pid"
    first = postmaster.read_text().split()[0]
    service.process.kill()
    service.process.wait()
    assert Path(f"/proc/{first}").exists(), "the server survives a killed service"

    again = launch(allow=("db",))
    wait_connected(again)
    assert postmaster.read_text().split()[0] == first, "the next service takes it over"
    everyone = [first, *Path(f"/proc/{first}/task/{first}/children").read_text().split()]
    for pid in everyone:
        os.kill(int(pid), signal.SIGSTOP)
    frozen = again.wait_for(lambda: not_ready(again), "the frozen server is noticed")
    assert frozen["error"]["code"] == "probe_failed"
    for pid in everyone:
        os.kill(int(pid), signal.SIGCONT)
    wait_connected(again)
    again.signal()
    assert again.wait_ended() == 0
    assert not postmaster.exists(), "the server stops with its last user"


def test_a_frozen_embedded_server_does_not_delay_the_exit(launch: Launch) -> None:
    service = launch(allow=("db",))
    (event,) = service.wait_events("database.embedded")
    leader = (Path(event["folder"]) / "data" / "postmaster.pid").read_text().split()[0]
    os.kill(int(leader), signal.SIGSTOP)
    service.signal()
    assert service.wait_ended() == 0
    stat = Path(f"/proc/{leader}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def healthcheck(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "aliaport.healthcheck", *arguments],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_healthcheck_returns_whatever_the_service_does(launch: Launch) -> None:
    service = launch(GOOD, environ={"ALIAPORT_DRAIN_SECONDS": "600"})
    port = {"ALIAPORT_PORT": str(service.port)}
    # Its timeout is two seconds, which a busy machine may need.
    service.wait_for(lambda: healthcheck(**port).returncode == 0, "the service is healthy")
    service.wait_for(lambda: healthcheck("--ready", **port).returncode == 0, "the service is ready")
    service.signal()
    service.wait_events("service.draining")
    service.wait_for(
        lambda: "draining" in (done := healthcheck("--ready", **port)).stdout and done.returncode,
        "the service is not ready",
    )
    service.wait_for(lambda: healthcheck(**port).returncode == 0, "the service is healthy")
    service.process.send_signal(signal.SIGSTOP)
    hung = healthcheck(**port)
    assert hung.returncode == 1
    assert hung.stdout.startswith("/health: ")
    service.process.send_signal(signal.SIGCONT)
    assert healthcheck(ALIAPORT_PORT=str(free_port())).returncode == 1


@pytest.mark.parametrize("trickle", [True, False])
def test_the_healthcheck_does_not_wait_for_a_byte_a_second(trickle: bool) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            for byte in b"HTTP/1.1 200 OK\r\nX: " if trickle else b"":
                try:
                    connection.send(bytes([byte]))
                except OSError:
                    return
                time.sleep(0.3)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        done = healthcheck(ALIAPORT_PORT=str(listener.getsockname()[1]))
        assert done.returncode == 1, done.stdout


def test_the_log_lines_are_json_with_the_fields_of_the_service(launch: Launch) -> None:
    service = launch(
        {**GOOD, "bad": "aliaport_rogues.bad_probes:Raising"},
        config=patient("good", "counting", "rogue_raising"),
    )
    for _ in range(5):
        service.get("/status")
    service.signal()
    assert service.wait_ended() == 0
    (changed,) = [e for e in service.events("probe.changed") if e["probe"] == "rogue_raising"]
    assert (changed["status"], changed["code"]) == ("unhealthy", "error")
    assert changed["service.name"] == "aliaport-api"
    assert list(changed)[:3] == ["@timestamp", "log.level", "message"]
    assert "geheim" not in json.dumps(service.events())
