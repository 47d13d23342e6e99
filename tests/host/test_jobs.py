"""Jobs with a schedule: which runs count as done, and how missed work is reported."""

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

import pytest

from aliaport.errors import AliaportError, DeclarationError
from aliaport.plugin import Job, Metric, Schedule
from aliaport.testing import FakeClock, RunningPlugin, make_context, run_plugin
from tests.rogues.aliaport_rogues.jobs import COUNTED, LEVEL, Gauged, Scheduled
from tests.support.fixtures import Launch

MORNING = datetime.fromisoformat("2026-11-24T09:00+03:00")
DUE = datetime.fromisoformat("2026-11-24T15:30+03:00")


def scheduled(clock: FakeClock, result: str = "done") -> AbstractContextManager[RunningPlugin]:
    return run_plugin(Scheduled, {"result": result}, name="scheduled", clock=clock, jobs=False)


def missed(plugin: RunningPlugin) -> list[str]:
    return [event["due"] for event in plugin.logged if event["event"] == "job.missed"]


@pytest.mark.parametrize(
    ("crontab", "zone", "now", "due"),
    [
        ("30 15 * * 1-5", "Europe/Istanbul", "2026-11-24T15:29:59+03:00", "2026-11-23T15:30+03:00"),
        ("30 15 * * 1-5", "Europe/Istanbul", "2026-11-24T15:30:00+03:00", "2026-11-24T15:30+03:00"),
        ("30 15 * * 1-5", "Europe/Istanbul", "2026-11-24T12:30:00+00:00", "2026-11-24T15:30+03:00"),
        ("30 15 * * 1-5", "Europe/Istanbul", "2026-11-22T20:00:00+03:00", "2026-11-20T15:30+03:00"),
        ("*/5 * * * *", "UTC", "2026-11-24T15:34:59.999999+00:00", "2026-11-24T15:30+00:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-03-29T12:00:00+02:00", "2026-03-29T03:00+02:00"),
        ("0 0 1 1 *", "UTC", "2026-11-24T00:00:00+00:00", "2026-01-01T00:00+00:00"),
    ],
)
def test_the_last_due_time_of_a_schedule(crontab: str, zone: str, now: str, due: str) -> None:
    found = Schedule(crontab, zone).last_due(datetime.fromisoformat(now))
    assert found == datetime.fromisoformat(due)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("61 * * * *",), "write it like"),
        (("daily",), "write it like"),
        (("0 0 * * *", "Europe/Ankara"), "unknown time zone 'Europe/Ankara'"),
        (("0 0 * * *", "../etc/passwd"), "unknown time zone"),
        (("0 0 * * *", "UTC", 0), "margin must be more than 0"),
    ],
)
def test_an_invalid_schedule_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        Schedule(*arguments)


def test_a_schedule_must_be_a_schedule() -> None:
    with pytest.raises(DeclarationError, match="must be a Schedule"):
        Job(name="x", run=print, every=1, timeout=1, schedule="0 0 * * *")  # type: ignore[arg-type]


def test_work_done_after_it_was_due_is_not_missed() -> None:
    clock = FakeClock(MORNING)
    with scheduled(clock) as plugin:
        assert plugin.job("work") == "succeeded"
        clock.move_to(DUE)
        assert plugin.job("work") == "succeeded"
        clock.advance(7200)
        assert plugin.missed_runs("work") == 0


@pytest.mark.parametrize("result", ["pending", "fail"])
def test_work_not_done_within_the_margin_is_missed_once(result: str) -> None:
    clock = FakeClock(MORNING)
    with scheduled(clock, result) as plugin:
        clock.move_to(DUE)
        assert plugin.job("work") == {"pending": "pending", "fail": "failed"}[result]
        clock.advance(3599)
        before = plugin.missed_runs("work")
        clock.advance(1)
        assert plugin.missed_runs("work") == plugin.missed_runs("work") == before + 1
        assert missed(plugin)[-1] == "2026-11-24T15:30:00+03:00"
        clock.advance(24 * 3600)
        assert plugin.missed_runs("work") == before + 2


def test_a_run_from_before_the_due_time_does_not_count() -> None:
    clock = FakeClock(MORNING)
    with scheduled(clock) as plugin:
        plugin.job("work")
        clock.move_to(DUE)
        clock.advance(3600)
        assert plugin.missed_runs("work") == 1


def test_a_service_started_late_gets_the_margin_from_its_start() -> None:
    clock = FakeClock(DUE)
    clock.advance(5 * 3600)
    with scheduled(clock, "pending") as plugin:
        assert plugin.missed_runs("work") == 0
        clock.advance(3600)
        assert plugin.missed_runs("work") == 1


def test_the_kit_lists_the_existing_jobs() -> None:
    with (
        scheduled(FakeClock(MORNING)) as plugin,
        pytest.raises(AliaportError, match="no job 'play'; the plugin has: work"),
    ):
        plugin.job("play")


def test_the_service_reports_a_hung_job_s_missed_work(launch: Launch) -> None:
    service = launch(
        {"scheduled": "aliaport_rogues.jobs:Scheduled"},
        config="[plugins.scheduled]\nresult = 'hang'\ncrontab = '* * * * *'\nmargin = 1\n",
    )
    found = service.wait_events("job.missed")[0]
    assert (found["job"], found["plugin"]) == ("work", "scheduled")
    assert "last_success" not in found
    page = service.get("/metrics").text
    labels = '{name="work",plugin="scheduled"}'
    assert f"aliaport_job_missed_runs_total{labels} " in page
    assert f"aliaport_job_last_due_timestamp_seconds{labels} " in page


def test_a_gauge_keeps_the_last_value_and_drops_invalid_ones() -> None:
    with run_plugin(Gauged, name="scheduled", jobs=False) as plugin:
        assert "aliaport_scheduled_level{" not in plugin.exposition()
        plugin.job("measure")
        with pytest.raises(AliaportError, match="aliaport_scheduled_level: its value is not a"):
            plugin.exposition()
        page = plugin.exposition()
        assert 'aliaport_scheduled_level{tank="north"} 3.5' in page
        assert 'aliaport_scheduled_level{tank="south"} -2' in page
        assert plugin._registry.dropped_series() == {("scheduled", "invalid"): 2}  # noqa: SLF001


def test_a_handle_of_the_wrong_kind_is_refused() -> None:
    context = make_context("scheduled")
    with pytest.raises(DeclarationError, match="is a counter, not a gauge"):
        context.gauge(COUNTED)
    with pytest.raises(DeclarationError, match="is a gauge, not a counter"):
        context.counter(LEVEL)
    with pytest.raises(DeclarationError, match="must begin with 'aliaport_scheduled_'"):
        context.gauge(Metric.gauge("aliaport_other_level", "A level."))


def test_a_fake_clock_never_goes_back() -> None:
    clock = FakeClock(DUE)
    with pytest.raises(ValueError, match="is before"):
        clock.move_to(MORNING)
    clock.advance(90)
    assert clock.monotonic() == 90
