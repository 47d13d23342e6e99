"""Bad probes affect only themselves."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.host.rogue_services import Serve, assert_unharmed, end, of_probes
from tests.support.service import Service

pytestmark = pytest.mark.service


FAULTS = {
    "Hanging": ("timeout", ("stuck", "timeout"), "the line that hangs"),
    "Blocking": ("timeout", ("stuck",), "the line that blocks"),
    "Threaded": ("timeout", ("stuck",), "the line that blocks its own thread"),
    "Spinning": ("timeout", ("stuck",), "bad_probes.py"),
    "Swallowing": ("timeout", ("stuck",), "bad_probes.py"),
    "Raising": ("error", ("error",), "raise ValueError"),
    "Deep": ("error", ("error",), "the deepest line"),
    "Exiting": ("error", ("error",), "raise SystemExit"),
    "Interrupting": ("error", ("error",), "raise KeyboardInterrupt"),
    "Cancelling": ("error", ("error",), "raise asyncio.CancelledError"),
    "WrongType": ("invalid", ("invalid",), ""),
    "Unprintable": ("error", ("error",), "raise HostileText"),
}


@dataclass
class Faulty:
    """A service with several faults at once, and the rows of their first two runs."""

    service: Service
    first: dict[str, dict[str, Any]]
    second: dict[str, dict[str, Any]]


@contextmanager
def run_faults(serve: Serve, *kinds: str) -> Iterator[Faulty]:
    with serve(of_probes(*kinds)) as service:
        first, second = (service.get("/status").json["data"]["probes"] for _ in range(2))
        yield Faulty(
            service,
            {row["name"]: row for row in first},
            {row["name"]: row for row in second},
        )


def assert_named(faulty: Faulty, kind: str) -> None:
    """Check that the fault is reported with its code and line, in the first run and later."""
    code, then, line = FAULTS[kind]
    name = f"rogue_{kind.lower()}"
    item, again = faulty.first[name], faulty.second[name]
    assert (item["status"], item["code"]) == ("unhealthy", code), item
    assert line in item.get("where", ""), item
    assert again["code"] in then, again
    alone = faulty.service.get(f"/status/{name}").json["data"]
    assert alone["code"] in then, alone


@pytest.fixture(scope="module")
def faulty(serve: Serve) -> Iterator[Faulty]:
    """Run a service with all faults except the one that would keep a processor busy."""
    with run_faults(serve, *FAULTS.keys() - {"Spinning"}) as faulty:
        yield faulty


@pytest.mark.parametrize("kind", sorted(FAULTS.keys() - {"Spinning"}))
def test_a_bad_probe_is_reported_with_its_line_and_harms_nobody(faulty: Faulty, kind: str) -> None:
    assert_named(faulty, kind)
    assert "geheim" not in faulty.service.get("/status").text
    assert_unharmed(faulty.service)


@pytest.mark.parametrize("kind", ["Raising", "Deep", "Exiting", "Unprintable"])
def test_the_traceback_of_a_raising_probe_is_in_the_error_log_once(
    faulty: Faulty, kind: str
) -> None:
    def found() -> list[dict[str, Any]]:
        lines = (faulty.service.folder / "logs" / "error.log").read_text().splitlines()
        own = [line for line in map(json.loads, lines) if line["message"] == "probe.raised"]
        return [line for line in own if line["aliaport.plugin"] == kind.lower()]

    (raised,) = faulty.service.wait_for(found, "the traceback is written")
    assert raised["aliaport.probe"] == f"rogue_{kind.lower()}"
    assert FAULTS[kind][2] in raised["aliaport.where"]
    trace = raised["error.stack_trace"]
    assert "Traceback" in trace
    assert trace.count("bad_probes.py") == (3 if kind == "Deep" else 1)
    assert "geheim" not in trace


def test_a_spinning_and_a_blocking_plugin_are_named_and_the_others_still_respond(
    serve: Serve,
) -> None:
    with run_faults(serve, "Spinning", "Blocking") as faulty:
        assert_named(faulty, "Spinning")
        assert_named(faulty, "Blocking")
        for _ in range(5):
            assert_unharmed(faulty.service)


HEALING = ("CallbackExiting", "TaskExiting", "Stopping", "Forking", "Huge", "Leaking")


@pytest.fixture(scope="module")
def healing(serve: Serve) -> Iterator[Service]:
    with serve(of_probes(*HEALING, "CancellingAll")) as service:
        yield service


@pytest.mark.parametrize("kind", HEALING)
def test_a_probe_recovers_from_damage_to_its_own_loop_or_process(
    healing: Service, kind: str
) -> None:
    for _ in range(3):
        response = healing.get(f"/status/rogue_{kind.lower()}")
        assert response.json["data"]["code"] == "ok", (response.text, healing.output())
        assert len(response.text) < 12_000
    assert_unharmed(healing)
    events = [event for event in healing.events() if event.get("plugin") == kind.lower()]
    if kind in ("CallbackExiting", "TaskExiting"):
        (escaped, *_) = [event for event in events if event["message"] == "plugin.escaped"]
        assert "SystemExit" in escaped["reason"]
    if kind == "Stopping":
        assert "plugin.loop_stopped" in {event["message"] for event in events}


def test_calls_that_are_cancelled_before_they_begin_end(healing: Service) -> None:
    def code() -> str:
        return str(healing.get("/status/rogue_cancellingall").json["data"]["code"])

    assert code() == "ok"
    seen = set()

    def runs_again() -> bool:
        seen.add(code())
        return "ok" in seen

    healing.wait_for(runs_again, "the probe runs again")
    assert seen <= {"ok", "error"}
    assert_unharmed(healing)


def test_tasks_are_counted_and_capped(serve: Serve) -> None:
    with serve(of_probes("Leaking")) as service:
        for _ in range(1_010):
            last = service.get("/status/rogue_leaking").json["data"]
        assert last["code"] == "error"
        assert "1000 tasks" in last["summary"]
        assert 'aliaport_plugin_tasks{plugin="leaking"} 1000' in service.get("/metrics").text
        assert_unharmed(service)


def test_a_thousand_calls_of_a_stuck_probe_leak_nothing(serve: Serve) -> None:
    with serve(of_probes("Threaded", "Raising")) as service:
        proc = Path(f"/proc/{service.process.pid}")

        def resources() -> tuple[int, int, int]:
            status = dict(
                line.split(":", 1)
                for line in (proc / "status").read_text().splitlines()
                if ":" in line
            )
            resident = int(status["VmRSS"].split()[0])
            return int(status["Threads"]), len(list((proc / "fd").iterdir())), resident

        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)

        def call(times: int) -> None:
            for _ in range(times):
                connection.request("GET", "/status?exclude=counting")
                assert connection.getresponse().read()

        call(200)
        threads, descriptors, resident = resources()
        call(1_000)
        after = resources()
        connection.close()
        assert after[0] <= threads, "threads leak"
        assert after[1] <= descriptors + 1, "descriptors leak"
        assert after[2] - resident < 5_000, f"memory leaks: {resident} to {after[2]} KiB"


@dataclass
class Held:
    """A service with one plugin that closes its loop and one that blocks it, and the first rows."""

    service: Service
    first: dict[str, dict[str, Any]]


DAMAGING = ("Damaging", "DamagingTasks", "DamagingWaits", "DamagingState", "DamagingTurns")


@pytest.fixture(scope="module")
def held(serve: Serve) -> Iterator[Held]:
    with serve(of_probes("Closing", "Siblings", *DAMAGING)) as service:
        rows = service.get("/status").json["data"]["probes"]
        yield Held(service, {row["name"]: row for row in rows})


def test_a_plugin_that_closes_its_loop_gets_a_new_one(held: Held) -> None:
    first = held.first["rogue_closing"]
    assert first["code"] in ("error", "timeout", "stuck"), first
    held.service.wait_for(
        lambda: held.service.get("/status/rogue_closing").json["data"]["code"] == "ok",
        "a new loop runs",
    )
    assert_unharmed(held.service)


@pytest.mark.parametrize("kind", DAMAGING)
def test_a_plugin_that_damages_its_loop_gets_a_new_one(held: Held, kind: str) -> None:
    page = f"/status/rogue_{kind.lower()}"

    def is_well() -> bool:
        row = held.service.get(page).json["data"]
        assert row["code"] in ("ok", "error", "timeout", "stuck", "blocked"), row
        return bool(row["code"] == "ok")

    assert held.first[f"rogue_{kind.lower()}"]["code"] in ("ok", "error", "timeout")
    assert_unharmed(held.service)
    for _ in range(3):
        held.service.wait_for(is_well, "a new loop runs")
    assert_unharmed(held.service)
    events = [event for event in held.service.events() if event.get("plugin") == kind.lower()]
    assert "plugin.escaped" in {event["message"] for event in events}


def test_a_probe_on_a_blocked_loop_names_the_call_that_blocks_it(held: Held) -> None:
    rows = held.first
    assert rows["blocker"]["code"] == "timeout"
    assert rows["sibling"]["code"] == "blocked"
    assert "the call that holds the loop" in rows["sibling"]["where"]
    assert_unharmed(held.service)


def test_a_forked_child_keeps_neither_the_port_nor_a_connection_open(serve: Serve) -> None:
    with serve(of_probes("LongFork")) as service:
        child = service.get("/status/rogue_longfork").json["data"]["data"]["child"]
        assert_unharmed(service)
        end(service)
        assert Path(f"/proc/{child}").exists(), "the child is still alive"
        with socket.socket() as again:
            again.bind(("127.0.0.1", service.port))
            again.listen()
