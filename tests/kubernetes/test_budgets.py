"""Compares probes, grace period and sizes with what the service itself guarantees."""

import math
from pathlib import Path
from typing import Any

import pytest

from aliaport.isolation import stall_watch
from aliaport.logs import backlog, pipeline
from aliaport.process import ending
from aliaport.service import stop_timeout
from tests.kubernetes.pods import quantity
from tests.kubernetes.render import build, one, pod_spec
from tests.kubernetes.service_side import container, settings

pytestmark = pytest.mark.parametrize("overlay", ["staging", "production"])
Probe = dict[str, Any]


def probes(overlay: str) -> dict[str, Probe]:
    found = container(overlay)
    return {name: found[f"{name}Probe"] for name in ("startup", "liveness", "readiness")}


def patience(probe: Probe) -> float:
    """Return the maximum seconds from a fault to the last failure that counts."""
    return float(probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"])


def test_each_probe_uses_the_right_path(overlay: str) -> None:
    assert {name: probe["httpGet"]["path"] for name, probe in probes(overlay).items()} == {
        "startup": "/health",
        "liveness": "/health",  # never /ready: a dead database must restart nothing
        "readiness": "/ready",
    }


def test_readiness_waits_as_long_as_ready_may_take(overlay: str, tmp_path: Path) -> None:
    given = settings(overlay, tmp_path)
    readiness = probes(overlay)["readiness"]
    assert readiness["timeoutSeconds"] >= math.ceil(given.ready_timeout) + 1
    assert readiness["periodSeconds"] > readiness["timeoutSeconds"], "runs would pile up"


def test_liveness_kills_only_after_the_log_has_named_a_stall(overlay: str, tmp_path: Path) -> None:
    stall = settings(overlay, tmp_path).plugin_limits.stall_timeout
    liveness = probes(overlay)["liveness"]
    soonest = liveness["periodSeconds"] * (liveness["failureThreshold"] - 1)
    assert soonest >= stall + 2 * stall_watch.EVERY + pipeline.CLOSE_TIMEOUT
    assert patience(liveness) <= 60, "a dead process would stay for longer than a minute"


def test_a_replica_has_a_minute_to_start(overlay: str) -> None:
    startup = probes(overlay)["startup"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 60
    assert startup["periodSeconds"] <= 2, "a started replica would be noticed late"


def test_the_drain_outlasts_failing_readiness_probes(overlay: str, tmp_path: Path) -> None:
    given = settings(overlay, tmp_path)
    assert given.drain_seconds >= patience(probes(overlay)["readiness"])


def test_the_grace_period_covers_drain_and_stop(overlay: str, tmp_path: Path) -> None:
    spec = pod_spec(one(build(overlay), "Deployment"))
    hook = container(overlay).get("lifecycle", {}).get("preStop", {})
    pause = hook.get("sleep", {}).get("seconds", 0)
    assert set(hook) <= {"sleep"}, "the test does not know the length of this hook"
    needed = pause + stop_timeout(settings(overlay, tmp_path)) + ending.GRACE
    grace = spec["terminationGracePeriodSeconds"]
    assert grace >= needed + 5, f"{grace} s, but up to {needed:g} s are needed"
    assert grace <= 2 * needed, "a frozen replica would hold up a rollout"


def test_the_total_in_the_manifest_is_right(overlay: str, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "deploy/kubernetes/base/deployment.yaml").read_text()
    assert f"log: {stop_timeout(settings(overlay, tmp_path)):g} s at most" in text


def test_logs_fit_their_volume_and_the_volume_its_limit(overlay: str, tmp_path: Path) -> None:
    given = settings(overlay, tmp_path)
    spec = pod_spec(one(build(overlay), "Deployment"))
    sizes = {
        volume["name"]: quantity(volume["emptyDir"]["sizeLimit"])
        for volume in spec["volumes"]
        if "emptyDir" in volume
    }
    # Files are removed once a minute: in between all four may have grown by a whole file.
    largest = (given.log.max_total_mb + 4 * given.log.rotate_mb) * 1e6
    assert sizes["aliaport-logs"] >= largest, "the kubelet would evict the pod"
    limits = container(overlay)["resources"]["limits"]
    # The kubelet keeps the printed logs too: 5 files of 10 MiB by default.
    assert quantity(limits["ephemeral-storage"]) >= sum(sizes.values()) + 50 * 2**20


def test_memory_is_enough_for_a_full_backlog(overlay: str) -> None:
    # 62 MB after 100,000 requests (README.md), and the events that wait for a hung disk.
    resources = container(overlay)["resources"]
    assert quantity(resources["limits"]["memory"]) >= 4 * backlog.MAX_WEIGHT + 110e6
    assert quantity(resources["requests"]["memory"]) >= 110e6


def test_requests_are_within_limits(overlay: str) -> None:
    resources = container(overlay)["resources"]
    for name, request in resources["requests"].items():
        assert quantity(request) <= quantity(resources["limits"][name]), name
