"""Stop timeouts leave the time that the code needs to stop."""

from pathlib import Path

from aliaport import healthcheck
from aliaport.process import ending
from aliaport.service import stop_timeout
from aliaport.settings import core_settings, read_sources
from tests.compose.files import Service, each_service, seconds, service

DEPLOY = Path(__file__).parents[2] / "deploy"

MIN_STOP = 10.0
"""Docker's default, in seconds."""
SPARE = 5.0
"""Seconds for the exit itself, on a busy machine."""


def test_the_service_has_time_to_drain_and_stop() -> None:
    backend = service("backend")
    settings = core_settings(
        read_sources(
            {
                "ENVIRONMENT": "production",
                "ALIAPORT_DRAIN_SECONDS": backend.environment["ALIAPORT_DRAIN_SECONDS"],
                "ALIAPORT_CONFIG": str(DEPLOY / "aliaport.toml"),
            }
        )
    )
    needed = stop_timeout(settings) + ending.GRACE
    grace = seconds(backend.get("stop_grace_period"))
    assert grace >= needed + SPARE, f"it may take {needed:g} s"
    text = (DEPLOY / "docker-compose.yml").read_text()
    assert f"the service enforces {stop_timeout(settings):g} s at most" in text


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
