"""Services with bad plugins, and checks that everything else still works."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from prometheus_client.parser import text_string_to_metric_families

from tests.support.service import Service

PROBES = "aliaport_rogues.bad_probes"
LIVES = "aliaport_rogues.bad_lives"
GOOD = {"good": "aliaport_rogues.good:Good"}


class Serve(Protocol):
    """Runs a service with the good plugin and these; it must exit cleanly after the block."""

    def __call__(
        self,
        plugins: Mapping[str, str],
        others: Mapping[str, str] | None = None,
        *,
        started: bool = True,
        **limits: float,
    ) -> AbstractContextManager[Service]: ...


def end(service: Service) -> None:
    """Stop the service unless the test has; check that it exits in time and without an error."""
    if service.process.poll() is None:
        service.signal()
    assert service.wait_ended(15) == 0, service.output()


def assert_unharmed(service: Service) -> None:
    """Check that the good plugin works, /health and /ready are 200, and the metrics page parses."""
    assert service.get("/health").status == 200
    ready = service.get("/ready")
    assert ready.status == 200, ready.text
    assert ready.json["data"]["good"] == "up"
    status = service.get("/status").json["data"]
    good = next(row for row in status["probes"] if row["name"] == "good")
    assert (good["status"], good["data"]) == ("healthy", {"number": 42})
    page = service.get("/metrics")
    assert page.status == 200
    assert list(text_string_to_metric_families(page.text))


def plugin_rows(service: Service) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in service.get("/status").json["data"]["plugins"]}


def of_probes(*kinds: str) -> dict[str, str]:
    return {kind.lower(): f"{PROBES}:{kind}" for kind in kinds}
