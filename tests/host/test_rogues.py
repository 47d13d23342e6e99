"""Bad plugins cost only themselves."""

import http.client
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.distributions import install
from tests.support.service import ROGUES, Answer, Service, start

pytestmark = pytest.mark.service

PROBES = "aliaport_rogues.bad_probes"
LIVES = "aliaport_rogues.bad_lives"
GOOD = {"good": "aliaport_rogues.good:Good"}


class Serve(Protocol):
    """Returns a service with the good plugin and these; it ends well after the block."""

    def __call__(
        self,
        plugins: Mapping[str, str],
        others: Mapping[str, str] | None = None,
        *,
        started: bool = True,
        **limits: float,
    ) -> AbstractContextManager[Service]: ...


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Serve:
    @contextmanager
    def serve(
        plugins: Mapping[str, str],
        others: Mapping[str, str] | None = None,
        *,
        started: bool = True,
        **limits: float,
    ) -> Iterator[Service]:
        """`limits` are those of `[plugin_limits]`."""
        # A plugin whose loop is held cannot stop: each such service would take the default of 3 s.
        limits = {"stop_timeout": 1, **limits}
        folder = tmp_path_factory.mktemp("rogues")
        site = folder / "site"
        install(site, "aliaport-rogues", {**GOOD, **plugins})
        if others:
            install(site, "other-rogues", others)
        service = start(
            folder / "run",
            allow=sorted({*GOOD, *plugins, *(others or {})}),
            path=(site, ROGUES),
            environ={
                f"ALIAPORT_PLUGIN_LIMITS__{name.upper()}": f"{seconds:g}"
                for name, seconds in limits.items()
            },
        )
        try:
            service.wait_listening()
            if started:
                service.wait_started()
            yield service
            end(service)
        finally:
            service.kill()

    return serve


def end(service: Service) -> None:
    """Stop the service unless the test has; it ends in time and without an error."""
    if service.process.poll() is None:
        service.signal()
    assert service.wait_ended(15) == 0, service.output()


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


def plugin_rows(service: Service) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in service.get("/status").json["data"]["plugins"]}


def of_probes(*kinds: str) -> dict[str, str]:
    return {kind.lower(): f"{PROBES}:{kind}" for kind in kinds}


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
    """The fault is reported with its code and line, at first and afterwards."""
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
    """A service with all faults but the one that would take a processor from all other tests."""
    with run_faults(serve, *FAULTS.keys() - {"Spinning"}) as faulty:
        yield faulty


@pytest.mark.parametrize("kind", sorted(FAULTS.keys() - {"Spinning"}))
def test_a_bad_probe_is_named_with_its_line_and_harms_nobody(faulty: Faulty, kind: str) -> None:
    assert_named(faulty, kind)
    assert "geheim" not in faulty.service.get("/status").text
    assert_unharmed(faulty.service)


def test_a_spinning_and_a_blocking_plugin_are_named_and_leave_the_others_their_answers(
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
    with serve(of_probes(*HEALING)) as service:
        yield service


@pytest.mark.parametrize("kind", HEALING)
def test_a_probe_that_hurts_its_own_loop_or_process_heals(healing: Service, kind: str) -> None:
    for _ in range(3):
        answer = healing.get(f"/status/rogue_{kind.lower()}")
        assert answer.json["data"]["code"] == "ok", (answer.text, healing.output())
        assert len(answer.text) < 12_000
    assert_unharmed(healing)
    events = [event for event in healing.events() if event.get("plugin") == kind.lower()]
    if kind in ("CallbackExiting", "TaskExiting"):
        (escaped, *_) = [event for event in events if event["message"] == "plugin.escaped"]
        assert "SystemExit" in escaped["reason"]
    if kind == "Stopping":
        assert "plugin.loop_stopped" in {event["message"] for event in events}


def test_tasks_are_counted_and_capped(serve: Serve) -> None:
    with serve(of_probes("Leaking")) as service:
        for _ in range(1_010):
            last = service.get("/status/rogue_leaking").json["data"]
        assert last["code"] == "error"
        assert "1000 tasks" in last["summary"]
        assert 'aliaport_plugin_tasks{plugin="leaking"} 1000' in service.get("/metrics").text
        assert_unharmed(service)


def test_nothing_leaks_over_a_thousand_calls_of_a_stuck_probe(serve: Serve) -> None:
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


@pytest.fixture(scope="module")
def rejecting(serve: Serve) -> Iterator[Service]:
    """A service with everything that cannot be loaded."""
    lives = {kind.lower(): f"{LIVES}:{kind}" for kind in REJECTED}
    with serve(
        {**lives, "broken": "aliaport_rogues.import_fails:X", "twin": f"{PROBES}:Raising"},
        others={"twin": f"{PROBES}:Hanging", "Bad-Name": f"{PROBES}:Raising"},
    ) as service:
        yield service


REJECTED = {
    "ConstructFails": ("construct", "cannot be made"),
    "FutureApi": ("api", "needs plugin API 9.0"),
    "Quoted": ("type", "Plugin['SomeConfig']"),
    "NOT_A_PLUGIN": ("type", "not a subclass"),
    "Absent": ("import", "Absent"),
}


@pytest.mark.parametrize("kind", REJECTED)
def test_a_plugin_that_cannot_load_is_listed_with_stage_reason_and_hint(
    rejecting: Service, kind: str
) -> None:
    stage, reason = REJECTED[kind]
    name = kind.lower()
    row = plugin_rows(rejecting)[name]
    assert (row["state"], row["stage"]) == ("rejected", stage)
    assert reason in row["reason"]
    assert row["hint"]
    assert rejecting.get("/status").json["data"]["status"] == "degraded"
    metrics = rejecting.get("/metrics").text
    assert f'aliaport_plugin_state{{plugin="{name}",state="rejected"}} 1' in metrics
    assert_unharmed(rejecting)


def test_a_broken_import_and_bad_names_and_collisions_are_listed(rejecting: Service) -> None:
    rows = rejecting.get("/status").json["data"]["plugins"]
    stages = {(row["name"], row.get("stage")) for row in rows}
    assert ("broken", "import") in stages
    assert ("twin", "collision") in stages
    assert ("Bad-Name", "name") in stages
    assert_unharmed(rejecting)


def test_colliding_probe_names_reject_both_and_a_critical_one_gates(serve: Serve) -> None:
    late = f"{LIVES}:StartFails"
    with serve({"one": late, "two": late}) as service:
        ready = service.get("/ready")
        assert (ready.status, ready.json["error"]["message"]) == (503, "late: rejected")
        rows = plugin_rows(service)
        assert rows["one"]["stage"] == rows["two"]["stage"] == "collision"
        assert rows["good"]["state"] == "running"


@dataclass
class Hung:
    """A service whose plugins hang in every stage, and its first responses."""

    service: Service
    health: Answer
    ready: Answer


@pytest.fixture(scope="module")
def hung(serve: Serve) -> Iterator[Hung]:
    lives = ("ConstructHangs", "StartHangs", "StartBlocks")
    with serve(
        {
            "importhangs": "aliaport_rogues.import_hangs:X",
            **{kind.lower(): f"{LIVES}:{kind}" for kind in lives},
        },
        started=False,
        import_timeout=2,
        construct_timeout=1.5,
        start_timeout=1.75,
    ) as service:
        health, ready = service.get("/health"), service.get("/ready")
        service.wait_started()
        service.wait_for(lambda: service.get("/ready").status == 200, "the good plugin runs")
        yield Hung(service, health, ready)


def test_a_hung_start_up_leaves_health_alone_and_ready_says_starting(hung: Hung) -> None:
    assert hung.health.status == 200
    assert (hung.ready.status, hung.ready.json["error"]["code"]) == (503, "starting")


def test_a_hung_import_costs_only_itself(hung: Hung) -> None:
    row = plugin_rows(hung.service)["importhangs"]
    assert row["stage"] == "import"
    assert "no end within 2 s" in row["reason"]
    assert "import_hangs.py:3" in row["reason"]
    assert_unharmed(hung.service)


@pytest.mark.parametrize(
    ("kind", "state", "reason"),
    [
        ("ConstructHangs", "rejected", "no end within 1.5 s"),
        ("StartHangs", "starting", "has not ended within 1.75 s"),
        ("StartBlocks", "starting", "has not ended within 1.75 s"),
    ],
)
def test_a_life_that_hangs_costs_only_itself(
    hung: Hung, kind: str, state: str, reason: str
) -> None:
    row = plugin_rows(hung.service)[kind.lower()]
    assert row["state"] == state
    assert reason in row["reason"]
    assert "bad_lives.py" in row["reason"]
    assert_unharmed(hung.service)


def test_a_failed_start_is_repeated_until_it_works(serve: Serve) -> None:
    with serve({"late": f"{LIVES}:StartFails"}) as service:
        ready = service.get("/ready")
        if ready.status == 503:
            error = ready.json["error"]
            assert (error["code"], error["message"]) == ("probe_failed", "late: starting")
            assert error["request_id"] == ready.headers["X-Request-ID"]
        service.wait_for(lambda: service.get("/ready").status == 200, "the second start works")
        (failed,) = service.events("plugin.start_failed")
        assert "not yet" in failed["reason"]
        assert failed["hint"] == "it is tried again with pauses of up to 60 s"


@pytest.fixture(scope="module")
def stopped(serve: Serve) -> Service:
    """A service that has ended although two of its plugins do not stop."""
    kinds = ("StopHangs", "StopBlocks")
    with serve({kind.lower(): f"{LIVES}:{kind}" for kind in kinds}) as service:
        end(service)
    return service


@pytest.mark.parametrize("kind", ["StopHangs", "StopBlocks"])
def test_a_stop_that_hangs_does_not_delay_the_exit(stopped: Service, kind: str) -> None:
    (failed,) = [
        event for event in stopped.events("plugin.stop_failed") if event["plugin"] == kind.lower()
    ]
    assert "no end within 1 s" in failed["reason"]


@dataclass
class Flooded:
    """A service with hostile collectors, and the second page of its metrics."""

    service: Service
    page: str


@pytest.fixture(scope="module")
def flooded(serve: Serve) -> Iterator[Flooded]:
    plugins = {
        "flooding": "aliaport_rogues.bad_metrics:Flooding",
        "hostile": "aliaport_rogues.bad_metrics:Hostile",
    }
    with serve(plugins) as service:
        service.get("/metrics")
        yield Flooded(service, service.get("/metrics").text)


def test_floods_and_hostile_values_leave_a_valid_page(flooded: Flooded) -> None:
    families = {family.name: family for family in text_string_to_metric_families(flooded.page)}
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
    assert_unharmed(flooded.service)


@pytest.mark.needs("promtool")
def test_promtool_accepts_the_page_but_for_two_names_of_the_specification(
    flooded: Flooded,
) -> None:
    promtool = str(shutil.which("promtool"))
    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=flooded.page,
        capture_output=True,
        text=True,
        timeout=60,
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


def test_a_hanging_collector_costs_its_own_families_only(serve: Serve) -> None:
    with serve({"hangcollect": "aliaport_rogues.bad_metrics:HangCollect"}) as service:
        headers = {"X-Prometheus-Scrape-Timeout-Seconds": "1"}
        page = service.get("/metrics", headers=headers, timeout=1.0).text
        assert "\naliaport_hangcollect_fine 1" in page
        assert "\naliaport_hangcollect_value " not in page
        assert 'collector="aliaport_hangcollect_value",plugin="hangcollect"} 0' in page


@dataclass
class Held:
    """A service with one plugin that closes its loop and one that holds it; the first rows."""

    service: Service
    first: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def held(serve: Serve) -> Iterator[Held]:
    with serve(of_probes("Closing", "Siblings")) as service:
        rows = service.get("/status").json["data"]["probes"]
        yield Held(service, {row["name"]: row for row in rows})


def test_a_plugin_that_closes_its_loop_gets_a_new_one(held: Held) -> None:
    first = held.first["rogue_closing"]
    assert first["code"] in ("error", "timeout", "stuck"), first
    held.service.wait_for(
        lambda: held.service.get("/status/rogue_closing").json["data"]["code"] == "ok",
        "a new loop serves",
    )
    assert_unharmed(held.service)


def test_a_sibling_on_a_held_loop_is_blocked_and_names_the_holder(held: Held) -> None:
    rows = held.first
    assert rows["blocker"]["code"] == "timeout"
    assert rows["sibling"]["code"] == "blocked"
    assert "the call that holds the loop" in rows["sibling"]["where"]
    assert_unharmed(held.service)


def test_code_that_holds_the_interpreter_is_named_by_the_log(serve: Serve) -> None:
    with serve(of_probes("Gil"), stall_timeout=0.5) as service:

        def named() -> list[dict[str, Any]]:
            # On a busy machine the thread that takes down the lines may come too late once.
            service.get("/status/rogue_gil", timeout=60)
            stalls = service.events("http_loop.stalled")
            return [event for event in stalls if "bad_probes.py" in event.get("threads", "")]

        stalls = service.wait_for(named, "the stall is logged with the line")
        assert stalls[0]["lag_s"] >= 0.25
        assert_unharmed(service)


def test_a_forked_child_holds_neither_the_port_nor_a_connection(serve: Serve) -> None:
    with serve(of_probes("LongFork")) as service:
        child = service.get("/status/rogue_longfork").json["data"]["data"]["child"]
        assert_unharmed(service)
        end(service)
        assert Path(f"/proc/{child}").exists(), "the child lives on"
        with socket.socket() as again:
            again.bind(("127.0.0.1", service.port))
            again.listen()
