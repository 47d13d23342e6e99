"""Check-ins of scheduled jobs: one result for each due time."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

import pytest

from aliaport.host.jobs import JobRunner
from aliaport.plugin import Job, Schedule
from aliaport.sentry import Sentry
from aliaport.sentry.checkins import monitor_config, monitor_slug
from aliaport.testing import FakeClock, run_plugin
from tests.rogues.aliaport_rogues.jobs import Scheduled
from tests.support.sentry import SentryServer

pytest_plugins = ["tests.support.sentry_fixtures"]

MORNING = datetime.fromisoformat("2026-11-24T09:00+03:00")
DUE = datetime.fromisoformat("2026-11-24T15:30+03:00")


@pytest.fixture
def watched(
    sentry: Sentry, stand_in: SentryServer, monkeypatch: pytest.MonkeyPatch
) -> Callable[[FakeClock, str], AbstractContextManager[Any]]:
    def run(clock: FakeClock, result: str) -> AbstractContextManager[Any]:
        def observed(job: Job, bulkhead: Any, log: Any, clock: Any, _nobody: None) -> JobRunner:
            return JobRunner(job, bulkhead, log, clock, sentry.job_observer("scheduled", job))

        monkeypatch.setattr("aliaport.host.plugin_instance.JobRunner", observed)
        return run_plugin(Scheduled, {"result": result}, name="scheduled", clock=clock, jobs=False)

    return run


def statuses(stand_in: SentryServer, sentry: Sentry) -> list[str]:
    sentry.flush(5)
    return [check_in["status"] for check_in in stand_in.of("check_in")]


def test_completed_work_is_checked_in_once_per_due_time(
    watched: Any, sentry: Sentry, stand_in: SentryServer
) -> None:
    clock = FakeClock(DUE)
    with watched(clock, "done") as plugin:
        for _ in range(3):
            plugin.job("work")
            clock.advance(5)
        assert statuses(stand_in, sentry) == ["ok"]
        clock.advance(24 * 3600)
        plugin.job("work")
        assert statuses(stand_in, sentry) == ["ok", "ok"]
    check_in = stand_in.of("check_in")[0]
    assert check_in["monitor_slug"] == "aliaport-scheduled-work"
    assert check_in["environment"] == "development"
    assert 0 <= check_in["duration"] < 30
    assert check_in["monitor_config"] == {
        "schedule": {"type": "crontab", "value": "30 15 * * 1-5"},
        "timezone": "Europe/Istanbul",
        "checkin_margin": 60,
        "max_runtime": 1,
        "failure_issue_threshold": 1,
        "recovery_threshold": 1,
    }


def test_pending_work_is_checked_in_only_once_it_is_missed(
    watched: Any, sentry: Sentry, stand_in: SentryServer
) -> None:
    clock = FakeClock(MORNING)
    with watched(clock, "pending") as plugin:
        clock.move_to(DUE)
        for _ in range(3):
            plugin.job("work")
        assert statuses(stand_in, sentry) == []
        clock.advance(3600)
        plugin.missed_runs("work")
        plugin.missed_runs("work")
        assert statuses(stand_in, sentry) == ["error"]


def test_a_failure_is_reported_once_and_resolved(
    watched: Any, sentry: Sentry, stand_in: SentryServer
) -> None:
    clock = FakeClock(DUE)
    with watched(clock, "fail") as plugin:
        assert plugin.job("work") == plugin.job("work") == "failed"
        clock.advance(3600)
        plugin.missed_runs("work")
        assert statuses(stand_in, sentry) == ["error"]
        observer = plugin._instance.jobs[0]._observer  # noqa: SLF001
        observer.ended("succeeded", DUE, 1.0)
        observer.ended("timed_out", DUE, 1.0)
        observer.missed(MORNING)
        assert statuses(stand_in, sentry) == ["error", "ok"]


def test_the_settings_of_a_monitor(sentry: Sentry) -> None:
    job = Job(name="x", run=print, every=5, timeout=61, schedule=Schedule("* * * * *", margin=1))
    assert job.schedule is not None
    config = monitor_config(job, job.schedule)
    assert (config["checkin_margin"], config["max_runtime"]) == (1, 2)
    assert sentry.job_observer("p", Job(name="x", run=print, every=5, timeout=1)) is None
    long = monitor_slug("p" * 31, "j" * 41)
    assert len(long) == 50
    assert long != monitor_slug("p" * 31, "j" * 40)
