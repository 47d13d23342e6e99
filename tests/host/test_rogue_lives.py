"""Plugins that cannot be loaded, started or stopped affect only themselves."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.host.rogue_services import LIVES, PROBES, Serve, assert_unharmed, end, plugin_rows
from tests.support.service import Response, Service

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def rejecting(serve: Serve) -> Iterator[Service]:
    """Start a service with every plugin that cannot be loaded."""
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
    "WrongDefault": (
        "config",
        "this is the default of aliaport_rogues.bad_lives.WrongDefaultConfig",
    ),
    "FactoryFails": (
        "config",
        "the default of aliaport_rogues.bad_lives.FactoryFailsConfig.size fails: OSError: /etc/sizes",
    ),
    "ShowFails": ("config", "RuntimeError: has no text"),
    "ShowHangs": ("config", "did not finish within 5 s"),
    "NeedsUnclear": ("import", "RuntimeError: neither true nor false"),
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
    """A service whose plugins hang at every stage, and its first responses."""

    service: Service
    health: Response
    ready: Response


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


def test_during_a_hung_start_health_works_and_ready_says_starting(hung: Hung) -> None:
    assert hung.health.status == 200
    assert (hung.ready.status, hung.ready.json["error"]["code"]) == (503, "starting")


def test_a_hung_import_affects_only_its_plugin(hung: Hung) -> None:
    row = plugin_rows(hung.service)["importhangs"]
    assert row["stage"] == "import"
    assert "did not finish within 2 s" in row["reason"]
    assert "import_hangs.py:3" in row["reason"]
    assert_unharmed(hung.service)


@pytest.mark.parametrize(
    ("kind", "state", "reason"),
    [
        ("ConstructHangs", "rejected", "did not finish within 1.5 s"),
        ("StartHangs", "starting", "did not finish within 1.75 s"),
        ("StartBlocks", "starting", "did not finish within 1.75 s"),
    ],
)
def test_a_hung_constructor_or_start_affects_only_its_plugin(
    hung: Hung, kind: str, state: str, reason: str
) -> None:
    row = plugin_rows(hung.service)[kind.lower()]
    assert row["state"] == state
    assert reason in row["reason"]
    assert "bad_lives.py" in row["reason"]
    assert_unharmed(hung.service)


def test_a_failed_start_is_retried_until_it_works(serve: Serve) -> None:
    with serve({"late": f"{LIVES}:StartFails"}) as service:
        ready = service.get("/ready")
        if ready.status == 503:
            error = ready.json["error"]
            assert (error["code"], error["message"]) == ("probe_failed", "late: starting")
            assert error["request_id"] == ready.headers["X-Request-ID"]
        service.wait_for(lambda: service.get("/ready").status == 200, "the second start works")
        (failed,) = service.events("plugin.start_failed")
        assert "not yet" in failed["reason"]
        assert failed["hint"] == "start() is retried, with pauses of up to 60 s"


@pytest.fixture(scope="module")
def stopped(serve: Serve) -> Service:
    """Return a service that has exited although two of its plugins do not stop."""
    kinds = ("StopHangs", "StopBlocks")
    with serve({kind.lower(): f"{LIVES}:{kind}" for kind in kinds}) as service:
        end(service)
    return service


@pytest.mark.parametrize("kind", ["StopHangs", "StopBlocks"])
def test_a_hung_stop_does_not_delay_the_exit(stopped: Service, kind: str) -> None:
    (failed,) = [
        event for event in stopped.events("plugin.stop_failed") if event["plugin"] == kind.lower()
    ]
    assert "did not finish within 1 s" in failed["reason"]
