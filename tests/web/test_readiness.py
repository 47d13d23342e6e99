"""Responses to probers of /ready while a critical probe hangs: in time, by every method."""

import time
from collections.abc import Iterator

import pytest

from tests.support.service import Service, running
from tests.support.waiting import wait_until

pytestmark = pytest.mark.service

DEADLINE = 0.8
CONFIG = f"""
ready_timeout = {DEADLINE}
status_timeout = {DEADLINE}
[probes.gated]
critical = true
timeout = 50
"""


@pytest.fixture(scope="module")
def hanging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run a service whose critical probe hangs once the service has started."""
    folder = tmp_path_factory.mktemp("ready")
    gate = folder / "run" / "open"
    gate.parent.mkdir()
    gate.touch()
    plugins = {"gated": "aliaport_rogues.good:Gated"}
    with running(folder, plugins, config=CONFIG) as service:
        gate.unlink()
        service.wait_for(lambda: service.get("/ready").status == 503, "the probe hangs")
        yield service


@pytest.mark.parametrize("path", ["/ready", "/ready?verbose", "/status", "/status/gated"])
def test_the_response_arrives_within_the_deadline(hanging: Service, path: str) -> None:
    def seconds() -> float:
        began = time.monotonic()
        hanging.get(path)
        return time.monotonic() - began

    # On a busy machine most responses may be late. Decided at the deadline, all of them would be.
    wait_until(lambda: seconds() < DEADLINE, f"{path} responds within {DEADLINE} s")


def test_every_method_reports_the_same_readiness(hanging: Service) -> None:
    for method, path in (("GET", "/ready"), ("HEAD", "/ready"), ("OPTIONS", "/ready/")):
        response = hanging.get(path, method=method)
        assert (response.status, response.headers["Retry-After"]) == (503, "1"), method
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert hanging.get("/ready?exclude=gated", method="OPTIONS").status == 200
    for path in ("/", "/health", "/status"):
        assert hanging.get(path, method="OPTIONS").status == 200, path


def test_options_and_get_agree_when_ready(hanging: Service) -> None:
    gate = hanging.folder / "open"
    gate.touch()
    try:
        hanging.wait_for(lambda: hanging.get("/ready").status == 200, "the probe succeeds")
        options = hanging.get("/ready", method="OPTIONS")
        assert (options.status, options.headers["Allow"]) == (200, "GET, HEAD, OPTIONS")
        assert options.json["data"]["gated"] == "healthy"

        def logged() -> list[int]:
            found = [e for e in hanging.events("request.answered") if e["url.path"] == "/ready"]
            return [event["http.response.status_code"] for event in found]

        # Each prober's request has a connection of its own, as those of kubelets and HAProxy.
        hanging.wait_for(lambda: 200 in logged(), "the change is logged")
    finally:
        gate.unlink()
