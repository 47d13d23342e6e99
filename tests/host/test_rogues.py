"""What each bad plugin costs: itself, and nobody else."""

import http.client
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.distributions import install
from tests.support.service import ROGUES, Service, start

PROBES = "aliaport_rogues.bad_probes"
GOOD = {"good": "aliaport_rogues.good:Good"}


@pytest.fixture
def serve(tmp_path: Path) -> Iterator["Serve"]:
    serve = Serve(tmp_path)
    yield serve
    if serve.service is not None and serve.service.process.poll() is None:
        serve.service.process.kill()
        serve.service.process.wait()


class Serve:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.service: Service | None = None

    def __call__(
        self,
        plugins: dict[str, str],
        environ: dict[str, str] | None = None,
        others: dict[str, str] | None = None,
        *,
        started: bool = True,
    ) -> Service:
        site = self.folder / "site"
        install(site, "aliaport-rogues", {**GOOD, **plugins})
        if others:
            install(site, "other-rogues", others)
        names = sorted({*GOOD, *plugins, *(others or {})})
        self.service = start(self.folder / "run", allow=names, path=(site, ROGUES), environ=environ)
        self.service.wait_listening()
        if started:
            self.service.wait_started()
        return self.service


def assert_unharmed(service: Service) -> None:
    """The neighbour answers, /health and /ready are 200, and the page of metrics parses."""
    assert service.get("/health").status == 200
    ready = service.get("/ready")
    assert ready.status == 200, ready.text
    assert ready.json["data"]["good"] == "up"
    status = service.get("/status").json["data"]
    good = next(row for row in status["probes"] if row["name"] == "good")
    assert (good["status"], good["data"]) == ("healthy", {"answer": 42})
    page = service.get("/metrics")
    assert page.status == 200
    assert list(text_string_to_metric_families(page.text))


def assert_ends(service: Service) -> None:
    service.signal()
    assert service.wait_ended(15) == 0, service.output()


FAULTS = {
    "Hanging": ("timeout", ("stuck", "timeout"), "the line that hangs"),
    "Blocking": ("timeout", ("stuck",), "the line that blocks"),
    "Threaded": ("timeout", ("stuck",), "the line that blocks its own thread"),
    "Spinning": ("timeout", ("stuck",), "bad_probes.py"),
    "Swallowing": ("timeout", ("stuck",), "bad_probes.py"),
    "Raising": ("error", ("error",), "raise ValueError"),
    "Exiting": ("error", ("error",), "raise SystemExit"),
    "Interrupting": ("error", ("error",), "raise KeyboardInterrupt"),
    "Cancelling": ("error", ("error",), "raise asyncio.CancelledError"),
    "WrongType": ("invalid", ("invalid",), ""),
    "Unprintable": ("error", ("error",), "raise HostileText"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_bad_probe_is_named_with_its_line_and_harms_nobody(serve: Serve, kind: str) -> None:
    first, then, line = FAULTS[kind]
    service = serve({"rogue": f"{PROBES}:{kind}"})
    item = service.get(f"/status/rogue_{kind.lower()}").json["data"]
    assert (item["status"], item["code"]) == ("unhealthy", first), item
    assert line in item.get("where", ""), item
    again = service.get(f"/status/rogue_{kind.lower()}").json["data"]
    assert again["code"] in then, again
    assert "geheim" not in service.get("/status").text
    assert_unharmed(service)
    assert_ends(service)


@pytest.mark.parametrize(
    "kind", ["CallbackExiting", "TaskExiting", "Stopping", "Forking", "Huge", "Leaking"]
)
def test_a_probe_that_hurts_its_own_loop_or_process_heals(serve: Serve, kind: str) -> None:
    service = serve({"rogue": f"{PROBES}:{kind}"})
    for _ in range(3):
        answer = service.get(f"/status/rogue_{kind.lower()}", timeout=5)
        assert answer.json["data"]["code"] == "ok", (answer.text, service.output())
        assert len(answer.text) < 12_000
    assert_unharmed(service)
    if kind in ("CallbackExiting", "TaskExiting"):
        (escaped, *_) = service.events("plugin.escaped")
        assert "SystemExit" in escaped["reason"]
        assert escaped["plugin"] == "rogue"
    if kind == "Stopping":
        assert service.events("plugin.loop_stopped")
    assert_ends(service)


def test_two_spinning_plugins_leave_the_others_their_answers(serve: Serve) -> None:
    service = serve({"one": f"{PROBES}:Spinning", "two": f"{PROBES}:Blocking"})
    service.get("/status")
    for _ in range(5):
        assert_unharmed(service)
    assert_ends(service)


def test_tasks_are_counted_and_capped(serve: Serve) -> None:
    service = serve({"rogue": f"{PROBES}:Leaking"})
    for _ in range(1_010):
        last = service.get("/status/rogue_leaking").json["data"]
    assert last["code"] == "error"
    assert "1000 tasks" in last["summary"]
    assert 'aliaport_plugin_tasks{plugin="rogue"} 1000' in service.get("/metrics").text
    assert_unharmed(service)
    assert_ends(service)


def test_nothing_leaks_over_a_thousand_calls_of_a_stuck_probe(serve: Serve) -> None:
    service = serve({"rogue": f"{PROBES}:Threaded", "two": f"{PROBES}:Raising"})
    proc = Path(f"/proc/{service.process.pid}")

    def figures() -> tuple[int, int, int]:
        status = dict(
            line.split(":", 1) for line in (proc / "status").read_text().splitlines() if ":" in line
        )
        resident = int(status["VmRSS"].split()[0])
        return int(status["Threads"]), len(list((proc / "fd").iterdir())), resident

    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)

    def call(times: int) -> None:
        for _ in range(times):
            connection.request("GET", "/status?exclude=counting")
            assert connection.getresponse().read()

    call(200)
    threads, descriptors, resident = figures()
    call(1_000)
    after = figures()
    assert after[0] <= threads, "threads leak"
    assert after[1] <= descriptors + 1, "descriptors leak"
    assert after[2] - resident < 5_000, f"memory leaks: {resident} to {after[2]} KiB"
    assert_ends(service)


LIVES = {
    "ConstructFails": ("construct", "cannot be made"),
    "FutureApi": ("api", "needs plugin API 9.0"),
    "Quoted": ("type", "Plugin['SomeConfig']"),
    "NOT_A_PLUGIN": ("type", "not a subclass"),
    "Absent": ("import", "Absent"),
}


@pytest.mark.parametrize("kind", LIVES)
def test_a_plugin_that_cannot_load_is_listed_with_stage_reason_and_hint(
    serve: Serve, kind: str
) -> None:
    stage, reason = LIVES[kind]
    service = serve({"rogue": f"aliaport_rogues.bad_lives:{kind}"})
    status = service.get("/status").json["data"]
    row = next(each for each in status["plugins"] if each["name"] == "rogue")
    assert (row["state"], row["stage"]) == ("rejected", stage)
    assert reason in row["reason"]
    assert row["hint"]
    assert status["status"] == "degraded"
    metrics = service.get("/metrics").text
    assert 'aliaport_plugin_state{plugin="rogue",state="rejected"} 1' in metrics
    assert_unharmed(service)
    assert_ends(service)


def test_a_broken_import_and_bad_names_and_collisions_are_listed(serve: Serve) -> None:
    service = serve(
        {"broken": "aliaport_rogues.import_fails:X", "twin": f"{PROBES}:Raising"},
        others={"twin": f"{PROBES}:Hanging", "Bad-Name": f"{PROBES}:Raising"},
    )
    rows = service.get("/status").json["data"]["plugins"]
    stages = {(row["name"], row.get("stage")) for row in rows}
    assert ("broken", "import") in stages
    assert ("twin", "collision") in stages
    assert ("Bad-Name", "name") in stages
    assert_unharmed(service)
    assert_ends(service)


def test_a_hung_import_costs_only_itself(serve: Serve) -> None:
    service = serve({"hung": "aliaport_rogues.import_hangs:X"}, started=False)
    assert service.get("/health").status == 200
    ready = service.get("/ready")
    assert (ready.status, ready.json["error"]["code"]) == (503, "starting")
    service.wait_started()
    (row,) = [r for r in service.get("/status").json["data"]["plugins"] if r["name"] == "hung"]
    assert row["stage"] == "import"
    assert "import_hangs.py:3" in row["reason"]
    assert_unharmed(service)
    assert_ends(service)


def test_colliding_probe_names_reject_both_and_a_critical_one_gates(serve: Serve) -> None:
    late = "aliaport_rogues.bad_lives:StartFails"
    service = serve({"one": late, "two": late})
    ready = service.get("/ready")
    assert (ready.status, ready.json["error"]["message"]) == (503, "late: rejected")
    rows = {row["name"]: row for row in service.get("/status").json["data"]["plugins"]}
    assert rows["one"]["stage"] == rows["two"]["stage"] == "collision"
    assert rows["good"]["state"] == "running"
    assert_ends(service)


def test_a_failed_start_is_repeated_until_it_works(serve: Serve) -> None:
    service = serve({"late": "aliaport_rogues.bad_lives:StartFails"})
    ready = service.get("/ready")
    if ready.status == 503:
        error = ready.json["error"]
        assert (error["code"], error["message"]) == ("probe_failed", "late: starting")
        assert error["request_id"] == ready.headers["X-Request-ID"]
    service.wait_for(lambda: service.get("/ready").status == 200, "the second start works")
    (failed,) = service.events("plugin.start_failed")
    assert "not yet" in failed["reason"]
    assert_ends(service)


@pytest.mark.parametrize("kind", ["StopHangs", "StopBlocks"])
def test_a_stop_that_hangs_does_not_delay_the_exit(serve: Serve, kind: str) -> None:
    service = serve({"rogue": f"aliaport_rogues.bad_lives:{kind}"})
    assert_ends(service)
    (failed,) = service.events("plugin.stop_failed")
    assert "no end within 3 s" in failed["reason"]


def test_floods_and_hostile_values_leave_a_valid_page(serve: Serve) -> None:
    service = serve(
        {
            "flooding": "aliaport_rogues.bad_metrics:Flooding",
            "hostile": "aliaport_rogues.bad_metrics:Hostile",
        }
    )
    service.get("/metrics")
    page = service.get("/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(page)}
    assert len(families["aliaport_flooding_series"].samples) == 100
    assert len(families["aliaport_flooding_events"].samples) == 100
    values = {s.labels["text"]: s.value for s in families["aliaport_hostile_values"].samples}
    assert values['a"b\\c\nd'] == 1
    assert values["boolean"] == 1
    assert values["? surrogate"] == 2
    assert max(map(len, values)) == 128
    dropped = {
        (s.labels["plugin"], s.labels["reason"]): s.value
        for s in families["aliaport_plugin_series_dropped"].samples
    }
    assert dropped["flooding", "family_cap"] > 19_900
    assert dropped["hostile", "invalid"] == 8
    assert_unharmed(service)
    assert_ends(service)


def test_a_hanging_collector_costs_its_own_families_only(serve: Serve) -> None:
    service = serve({"hangcollect": "aliaport_rogues.bad_metrics:HangCollect"})
    headers = {"X-Prometheus-Scrape-Timeout-Seconds": "1"}
    page = service.get("/metrics", headers=headers, timeout=1.0).text
    assert "\naliaport_hangcollect_fine 1" in page
    assert "\naliaport_hangcollect_value " not in page
    assert 'collector="aliaport_hangcollect_value",plugin="hangcollect"} 0' in page
    assert_ends(service)


@pytest.mark.needs("promtool")
def test_promtool_accepts_the_page_but_for_two_names_of_the_specification(serve: Serve) -> None:
    service = serve({"hostile": "aliaport_rogues.bad_metrics:Hostile"})
    page = service.get("/metrics").text
    promtool = str(shutil.which("promtool"))
    done = subprocess.run(
        [promtool, "check", "metrics"], input=page, capture_output=True, text=True, timeout=60
    )
    complaints = set((done.stdout + done.stderr).strip().splitlines())
    assert complaints <= {
        f'aliaport_currency_sync_{word} counter metrics should have "_total" suffix'
        for word in ("failure", "success")
    }
    # A page that does not parse is an error of its own, not a complaint.
    broken = subprocess.run(
        [promtool, "check", "metrics"], input='x{a="}', capture_output=True, text=True, timeout=60
    )
    assert broken.returncode != 0


def test_a_plugin_that_closes_its_loop_gets_a_new_one(serve: Serve) -> None:
    service = serve({"rogue": f"{PROBES}:Closing"})
    first = service.get("/status/rogue_closing").json["data"]
    assert first["code"] in ("error", "timeout", "stuck"), first
    service.wait_for(
        lambda: service.get("/status/rogue_closing").json["data"]["code"] == "ok",
        "a new loop serves",
    )
    assert_unharmed(service)
    assert_ends(service)


def test_a_sibling_on_a_held_loop_is_blocked_and_names_the_holder(serve: Serve) -> None:
    service = serve({"rogue": f"{PROBES}:Siblings"})
    rows = {row["name"]: row for row in service.get("/status").json["data"]["probes"]}
    assert rows["blocker"]["code"] == "timeout"
    assert rows["sibling"]["code"] == "blocked"
    assert "the call that holds the loop" in rows["sibling"]["where"]
    assert_unharmed(service)
    assert_ends(service)


def test_code_that_holds_the_interpreter_is_named_by_the_log(serve: Serve) -> None:
    service = serve({"rogue": f"{PROBES}:Gil"})
    service.get("/status/rogue_gil", timeout=60)
    stalled = service.wait_for(lambda: service.events("http_loop.stalled"), "the stall is logged")
    assert "bad_probes.py" in stalled[0]["threads"]
    assert_unharmed(service)
    assert_ends(service)


def test_a_forked_child_holds_neither_the_port_nor_a_connection(serve: Serve) -> None:
    service = serve({"rogue": f"{PROBES}:LongFork"})
    child = service.get("/status/rogue_longfork").json["data"]["data"]["child"]
    assert_unharmed(service)
    assert_ends(service)
    assert Path(f"/proc/{child}").exists(), "the child lives on"
    with socket.socket() as again:
        again.bind(("127.0.0.1", service.port))
        again.listen()


@pytest.mark.parametrize(
    ("kind", "state", "reason"),
    [
        ("ConstructHangs", "rejected", "no end within 5 s"),
        ("StartHangs", "starting", "has not ended within 10 s"),
        ("StartBlocks", "starting", "has not ended within 10 s"),
    ],
)
def test_a_life_that_hangs_costs_only_itself(
    serve: Serve, kind: str, state: str, reason: str
) -> None:
    service = serve({"rogue": f"aliaport_rogues.bad_lives:{kind}"})
    (row,) = [r for r in service.get("/status").json["data"]["plugins"] if r["name"] == "rogue"]
    assert row["state"] == state
    assert reason in row["reason"]
    assert "bad_lives.py" in row["reason"]
    assert_unharmed(service)
    assert_ends(service)
