"""Stop timeouts leave the time that the code needs to stop."""

import inspect

from aliaport import healthcheck
from aliaport.logs import Logs, audit
from aliaport.sentry import tracking
from aliaport.settings import PluginLimits, core_settings, read_sources
from aliaport.web import server
from tests.compose.files import Service, each_service, seconds, service

MIN_STOP = 10.0
"""Docker's default, in seconds."""
SPARE = 5.0
"""Seconds for the exit itself, on a busy machine."""


def worst_stop(drain: float) -> float:
    """Return the seconds from SIGTERM to the exit if everything takes as long as it may."""
    flush: float = inspect.signature(Logs.close).parameters["seconds"].default
    return (
        max(drain, audit.RECORD_TIMEOUT)
        + server.FINISH_TIMEOUT
        + 1
        + PluginLimits().stop_all_timeout
        + tracking.LAST_FLUSH
        + flush
    )


def test_the_service_has_time_to_drain_and_stop() -> None:
    backend = service("backend")
    drain = float(backend.environment["ALIAPORT_DRAIN_SECONDS"])
    grace = seconds(backend.get("stop_grace_period"))
    assert grace >= worst_stop(drain) + SPARE, f"it may take {worst_stop(drain):g} s"


def test_the_drain_matches_production_and_is_long_enough_to_be_noticed() -> None:
    backend = service("backend")
    drain = float(backend.environment["ALIAPORT_DRAIN_SECONDS"])
    default = core_settings(read_sources({"ENVIRONMENT": "production"})).drain_seconds
    assert drain == default


@each_service
def test_g4_the_stop_has_a_limit(service: Service) -> None:
    if not service.runs_once:
        assert seconds(service.get("stop_grace_period")) >= MIN_STOP


def test_the_health_check_responds_before_its_timeout() -> None:
    health = service("backend").get("healthcheck")
    # Starting Python takes part of it.
    assert seconds(health["timeout"]) >= healthcheck.TIMEOUT + 0.5


def test_filebeat_has_time_to_empty_its_queue() -> None:
    assert seconds(service("filebeat").get("stop_grace_period")) > 10, "filebeat.shutdown_timeout"
