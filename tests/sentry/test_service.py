"""The service with a DSN: what Sentry receives, and that the exit does not wait for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import commands
from tests.support.fixtures import Launch
from tests.support.sentry import SentryServer, black_hole

FAILING = "[plugins.scheduled]\nresult = 'fail'\ncrontab = '* * * * *'\nmargin = 60\n"
SCHEDULED = {"scheduled": "aliaport_rogues.jobs:Scheduled"}


@pytest.fixture
def stand_in() -> Iterator[SentryServer]:
    with SentryServer() as stand_in:
        yield stand_in


def environ(dsn: str) -> dict[str, str]:
    return {"SENTRY_DSN": dsn, "no_proxy": "127.0.0.1"}


def test_a_failing_job_becomes_one_issue_and_one_check_in(
    launch: Launch, stand_in: SentryServer
) -> None:
    service = launch(SCHEDULED, config=FAILING, environ=environ(stand_in.dsn))
    (event, *_) = stand_in.wait("event")
    (check_in, *_) = stand_in.wait("check_in")
    assert event["tags"]["event"] == "job.failed"
    assert (event["tags"]["plugin"], event["tags"]["job"]) == ("scheduled", "work")
    assert event["exception"]["values"][0]["type"] == "ValueError"
    assert event["exception"]["values"][0]["stacktrace"]["frames"][-1]["function"] == "work"
    assert (check_in["monitor_slug"], check_in["status"]) == ("aliaport-scheduled-work", "error")
    for path in ("/health", "/ready", "/status", "/metrics"):
        service.get(path)
    service.signal()
    service.wait_ended()
    transactions = {transaction["transaction"] for transaction in stand_in.of("transaction")}
    assert transactions <= {"GET /status"}, "development traces everything except the probes"
    assert stand_in.of("sessions")


def test_a_probe_that_stays_bad_is_one_event(launch: Launch, stand_in: SentryServer) -> None:
    service = launch(
        allow=("disk",),
        config="[plugins.disk]\nwarn_percent = 0.0001\ncritical_percent = 0.0002\n",
        environ=environ(stand_in.dsn),
    )
    for _ in range(5):
        service.get("/status")
    stand_in.wait("event")
    service.signal()
    service.wait_ended()
    changed = [event for event in stand_in.of("event") if event["tags"]["event"] == "probe.changed"]
    assert [event["tags"]["probe"] for event in changed] == ["disk_root"]


def test_a_dead_sentry_delays_neither_responses_nor_the_exit(launch: Launch) -> None:
    with black_hole() as dsn:
        service = launch(SCHEDULED, config=FAILING, environ=environ(dsn))
        for _ in range(20):
            assert service.get("/health").status == 200
        service.signal()
        assert service.wait_ended(12) == 0, "the exit does not wait for queued events"


@pytest.mark.parametrize("variable", ["SENTRY_DSN", "ALIAPORT_SENTRY_DSN"])
def test_the_service_does_not_start_with_an_invalid_dsn(tmp_path: Path, variable: str) -> None:
    dsn = {variable: "https://Kal3m@sentry.example/project-id"}
    done = commands.aliaport(tmp_path, "serve", environ=dsn)
    assert (done.code, done.out) == (2, "")
    assert f"{variable}: sentry_dsn: does not end with a project number" in done.err
    assert "https://<key>@<host>/<project number>" in done.err
    assert "Kal3m" not in done.err
