"""Tests the job over days, a year, outages and corrections: real database and HTTP, fake clock."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

from aiohttp import web
from aliaport_currency_sync.bulletin import Fault
from aliaport_currency_sync.business_days import BusinessDays, DayKind
from aliaport_currency_sync.plugin import CurrencySyncPlugin
from aliaport_currency_sync.schema import COMPONENT
from aliaport_currency_sync.source import Outage

from aliaport.postgres import Leader
from aliaport.testing import FakeClock, ProbeResult, RunningPlugin, make_context, run_plugin
from tests.support.fixtures import Rows
from tests.support.tcmb import Tcmb, archive_path, document, error_page, istanbul
from tests.support.waiting import wait_until

DAYS = BusinessDays()


@contextmanager
def run_sync_plugin(
    tcmb: Tcmb, database: str, clock: FakeClock, **config: Any
) -> Iterator[RunningPlugin]:
    options = {"source": tcmb.address, "request_interval": 0, **config}
    with run_plugin(
        CurrencySyncPlugin, options, database_url=database, clock=clock, jobs=False
    ) as plugin:
        yield plugin


def probed(plugin: RunningPlugin) -> ProbeResult:
    """Return the probe's result; its times may be too short on a busy machine."""

    def result_from_database() -> ProbeResult | None:
        result = plugin.probe("currency_rates")
        return None if result.code in ("database", "timeout") else result

    result = wait_until(result_from_database, "the probe reaches the database")
    assert result is not None
    return result


def samples(plugin: RunningPlugin) -> dict[str, float]:
    lines = [line for line in plugin.exposition().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def publish_open_days(tcmb: Tcmb, first: date, last: date) -> list[date]:
    days = [day for day in DAYS.open_days(first, last) if DAYS.kind(day) is DayKind.BUSINESS]
    tcmb.publish(*days)
    return days


def test_the_job_over_one_day(tcmb: Tcmb, database: str, rows: Rows) -> None:
    clock = FakeClock(istanbul("2026-11-24 15:29"))
    with run_sync_plugin(tcmb, database, clock, first_day="2026-11-23") as plugin:
        assert probed(plugin).code == "no_bulletin"
        tcmb.publish(date(2026, 11, 23))
        assert plugin.job("sync") == "succeeded"
        assert tcmb.paths() == [archive_path(date(2026, 11, 23))], (
            "today.xml is not requested early"
        )
        assert probed(plugin).code == "ok"

        clock.move_to(istanbul("2026-11-24 15:30"))
        before = samples(plugin)
        assert plugin.job("sync") == "pending", "the source still serves the previous bulletin"
        assert tcmb.paths()[1:] == ["today.xml"]
        for name in ("success", "failure"):
            family = f"aliaport_currency_sync_{name}"
            assert samples(plugin)[family] == before[family], (
                "the previous bulletin counts as neither"
            )
        assert plugin.job("sync") == "pending"
        assert len(tcmb.requests) == 2, "it pauses before the next request"
        assert probed(plugin).code == "ok", "not late before 16:30"

        clock.advance(75)
        tcmb.publish(date(2026, 11, 24))
        assert plugin.job("sync") == "succeeded"
        assert rows("SELECT day, revision FROM aliaport_currency_bulletins ORDER BY 1") == [
            "2026-11-23|1",
            "2026-11-24|1",
        ]
        assert samples(plugin)["aliaport_currency_sync_success"] == 2
        assert samples(plugin)["aliaport_currency_sync_failure"] == 0
        assert samples(plugin)["aliaport_currency_sync_rates_stored_total"] == 18
        assert samples(plugin)["aliaport_currency_sync_leader"] == 1
        midnight = datetime.fromisoformat("2026-11-24T00:00+00:00").timestamp()
        assert (
            samples(plugin)["aliaport_currency_sync_newest_bulletin_timestamp_seconds"] == midnight
        )
        assert (
            samples(plugin)["aliaport_currency_sync_expected_bulletin_timestamp_seconds"]
            == midnight - 86400
        )


def test_the_next_attempt_is_shown(tcmb: Tcmb, database: str) -> None:
    tcmb.publish(date(2026, 11, 20))
    clock = FakeClock(istanbul("2026-11-23 15:00"))

    def next_attempt() -> datetime | None:
        text = probed(plugin).data["next_attempt_at"]
        return None if text is None else datetime.fromisoformat(str(text))

    with run_sync_plugin(tcmb, database, clock, first_day="2026-11-20") as plugin:
        assert next_attempt() is None, "it does not lead before its first run"
        plugin.job("sync")
        assert next_attempt() == istanbul("2026-11-23 15:30")
        clock.move_to(istanbul("2026-11-23 16:40"))
        assert next_attempt() == clock.now()
        plugin.job("sync")
        result, after = probed(plugin), next_attempt()
        assert after is not None
        assert timedelta(seconds=40) <= after - clock.now() <= timedelta(seconds=80)
        assert (result.code, result.data["newest_bulletin"]) == ("late", "2026-11-20")
        assert f"; next attempt: {after + timedelta(hours=3):%Y-%m-%d %H:%M}" in result.summary
        tcmb.publish(date(2026, 11, 23))
        clock.advance(100)
        plugin.job("sync")
        assert probed(plugin).code == "ok"
        clock.move_to(istanbul("2026-11-23 23:50"))
        plugin.job("sync")
        assert next_attempt() == istanbul("2026-11-24 15:30"), "nothing is missing until then"
        clock.move_to(istanbul("2026-11-27 23:50"))
        plugin.job("sync")
        clock.move_to(istanbul("2026-11-28 01:00"))
        assert next_attempt() == clock.now(), "Friday's file was not yet requested from the archive"
        plugin.job("sync")
        assert next_attempt() == istanbul("2026-11-28 05:50"), "six hours after the other files"


def test_attempts_slow_down_in_the_afternoon_and_are_hourly_afterwards(
    tcmb: Tcmb, database: str
) -> None:
    tcmb.publish(date(2026, 11, 23))
    clock = FakeClock(istanbul("2026-11-24 15:00"))
    times: list[datetime] = []
    with run_sync_plugin(tcmb, database, clock, first_day="2026-11-23") as plugin:
        while clock.now() < istanbul("2026-11-24 23:59"):
            before = len(tcmb.requests)
            plugin.job("sync")
            times += [clock.now()] * tcmb.paths()[before:].count("today.xml")
            clock.advance(20)
        assert plugin.missed_runs("sync") == 1
        result = probed(plugin)
        assert (result.status, result.code) == ("degraded", "late")
    assert istanbul("2026-11-24 15:30") <= times[0] < istanbul("2026-11-24 15:31")
    pauses = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    afternoon = [
        pause for pause, at in zip(pauses, times, strict=False) if at < istanbul("2026-11-24 17:30")
    ]
    assert 40 <= afternoon[0] <= 100
    assert 90 <= afternoon[1] <= 170
    assert all(460 <= pause <= 760 for pause in afternoon[4:]), afternoon
    evening = pauses[len(afternoon) :]
    assert len(evening) >= 4
    assert all(2860 <= pause <= 4360 for pause in evening), evening


def test_a_year_of_business_days_and_holidays(tcmb: Tcmb, database: str, rows: Rows) -> None:
    first, last = date(2026, 1, 2), date(2026, 12, 31)
    clock = FakeClock(istanbul("2026-01-02 08:00"))
    codes: Counter[str] = Counter()
    day = first
    with run_sync_plugin(tcmb, database, clock, first_day=str(first)) as plugin:
        while day <= last:
            clock.move_to(istanbul(f"{day} 15:45"))
            if DAYS.kind(day) is DayKind.BUSINESS:
                tcmb.publish(day, percent=day.timetuple().tm_yday / 10)
            assert plugin.job("sync") == "succeeded", day
            clock.move_to(istanbul(f"{day} 22:00"))
            assert plugin.job("sync") == "succeeded", day
            codes[probed(plugin).code] += 1
            assert plugin.missed_runs("sync") == 0, day
            day += timedelta(days=1)
        assert samples(plugin)["aliaport_currency_sync_failure"] == 0
    published = sorted(tcmb.bulletins)
    assert len(published) > 240
    assert codes == {"ok": 364}
    stored = rows(
        "SELECT day, max(revision), count(*) FROM aliaport_currency_bulletins GROUP BY 1 ORDER BY 1"
    )
    assert stored == [f"{day}|1|1" for day in published], "a bulletin is not stored once"
    closed = [
        day
        for day in (first + timedelta(days=n) for n in range(364))
        if DAYS.kind(day) is DayKind.CLOSED
    ]
    requested = set(tcmb.paths())
    assert not requested & {archive_path(day) for day in closed}, "a closed day was requested"
    assert tcmb.max_at_once == 1


def test_a_long_outage_is_filled_oldest_first(tcmb: Tcmb, database: str, rows: Rows) -> None:
    days = publish_open_days(tcmb, date(2026, 8, 3), date(2026, 8, 5))
    clock = FakeClock(istanbul("2026-08-05 18:00"))
    with run_sync_plugin(tcmb, database, clock, first_day="2026-08-03") as plugin:
        plugin.job("sync")
        # The source fails for a month while the service keeps running.
        tcmb.behave("*", error_page(503))
        codes = []
        while clock.now() < istanbul("2026-09-10 12:00"):
            clock.advance(6 * 3600)
            plugin.job("sync")
            codes.append(probed(plugin).code)
        assert list(dict.fromkeys(codes)) == ["ok", "late", "outdated"]
        assert samples(plugin)['aliaport_currency_sync_failures_total{reason="http_error"}'] > 50
        assert "http_error" in probed(plugin).summary
    # Then the service is down for another two months.
    clock.move_to(istanbul("2026-11-10 12:00"))
    tcmb.behave("*", None)
    days += publish_open_days(tcmb, date(2026, 8, 6), date(2026, 11, 9))
    tcmb.requests.clear()
    with run_sync_plugin(tcmb, database, clock) as plugin:
        while plugin.job("sync") != "succeeded":
            clock.advance(1)
        assert probed(plugin).code == "ok"
    got = [path for path in tcmb.paths() if path in {archive_path(day) for day in days}]
    assert got == [archive_path(day) for day in days[3:]], "not oldest first, or not once"
    assert len(rows("SELECT day FROM aliaport_currency_bulletins")) == len(days)


def test_a_day_without_a_file_is_requested_for_fifteen_days(tcmb: Tcmb, database: str) -> None:
    days = publish_open_days(tcmb, date(2026, 11, 2), date(2026, 11, 6))
    del tcmb.bulletins[date(2026, 11, 4)]
    missing = archive_path(date(2026, 11, 4))
    clock = FakeClock(istanbul("2026-11-09 10:00"))
    with run_sync_plugin(tcmb, database, clock, first_day="2026-11-02") as plugin:
        plugin.job("sync")
        result = probed(plugin)
        assert (result.status, result.code) == ("degraded", "missed")
        assert "2026-11-04 (no_file)" in result.summary
        assert samples(plugin)["aliaport_currency_sync_missed_bulletins"] == 1
        assert samples(plugin)["aliaport_currency_sync_failure"] == 0
        last_request = clock.now()
        while clock.now() < istanbul("2026-12-05 10:00"):
            clock.advance(3600)
            before = len(tcmb.requests)
            plugin.job("sync")
            if missing in tcmb.paths()[before:]:
                last_request = clock.now()
    requests = tcmb.paths().count(missing)
    assert 50 <= requests <= 62, "not every six hours"
    assert istanbul("2026-11-23 10:00") < last_request <= istanbul("2026-11-24 12:00")
    assert len(days) == 5


def test_a_late_file_fills_its_gap(tcmb: Tcmb, database: str, rows: Rows) -> None:
    publish_open_days(tcmb, date(2026, 11, 2), date(2026, 11, 6))
    late = tcmb.bulletins.pop(date(2026, 11, 4))
    clock = FakeClock(istanbul("2026-11-09 10:00"))
    with run_sync_plugin(tcmb, database, clock, first_day="2026-11-02") as plugin:
        plugin.job("sync")
        tcmb.bulletins[date(2026, 11, 4)] = late
        clock.advance(7 * 3600)
        plugin.job("sync")
        assert rows("SELECT count(*) FROM aliaport_currency_gaps WHERE day < '2026-11-09'") == ["0"]
        assert rows("SELECT revision FROM aliaport_currency_bulletins WHERE day='2026-11-04'") == [
            "1"
        ]


def test_a_half_holiday_may_or_may_not_have_a_bulletin(
    tcmb: Tcmb, database: str, rows: Rows
) -> None:
    publish_open_days(tcmb, date(2026, 10, 26), date(2026, 10, 30))
    clock = FakeClock(istanbul("2026-10-30 18:00"))
    with run_sync_plugin(tcmb, database, clock, first_day="2026-10-26") as plugin:
        assert plugin.job("sync") == "succeeded"
        assert archive_path(date(2026, 10, 28)) in tcmb.paths()
        assert probed(plugin).code == "ok"
        tcmb.publish(date(2026, 10, 28))
        clock.advance(7 * 3600)
        plugin.job("sync")
        assert "2026-10-28" in rows("SELECT day FROM aliaport_currency_bulletins")


def test_a_corrected_bulletin_becomes_a_new_revision(tcmb: Tcmb, database: str, rows: Rows) -> None:
    day = date(2026, 11, 24)
    tcmb.publish(day)
    clock = FakeClock(istanbul("2026-11-24 15:31"))
    with run_sync_plugin(tcmb, database, clock, first_day="2026-11-24") as plugin:
        plugin.job("sync")
        tcmb.publish(day, percent=0.5)
        clock.advance(3600 * 1.3)
        assert plugin.job("sync") == "succeeded"
        clock.advance(3600 * 1.3)
        plugin.job("sync")
        assert any(event["event"] == "currency_sync.revised" for event in plugin.logged)
        assert probed(plugin).data["revision"] == 2
    assert rows(
        "SELECT revision, forex_buying FROM aliaport_currency_rates WHERE code = 'USD' ORDER BY 1"
    ) == ["1|41.8931", "2|42.1026"]


def test_a_jump_is_stored_flagged_and_shown(tcmb: Tcmb, database: str, rows: Rows) -> None:
    tcmb.publish(date(2026, 11, 23))
    tcmb.publish(date(2026, 11, 24), percent=-12)
    clock = FakeClock(istanbul("2026-11-24 18:00"))
    with run_sync_plugin(tcmb, database, clock, first_day="2026-11-23") as plugin:
        # Today's bulletin comes first, then the previous day's, which reveals the jump.
        assert plugin.job("sync") == "succeeded"
        assert tcmb.paths() == ["today.xml", archive_path(date(2026, 11, 23))]
        result = probed(plugin)
        assert (result.status, result.code) == ("degraded", "rate_jump")
        assert "USD -12.00%" in result.summary
        assert samples(plugin)["aliaport_currency_sync_jumped_rates"] == 9
        (jumped,) = [e for e in plugin.logged if e["event"] == "currency_sync.jumped"]
        assert (jumped["day"], jumped["percent"]["USD"]) == ("2026-11-24", "-12.00")
        # The correction removes the jump.
        tcmb.publish(date(2026, 11, 24), percent=-2)
        clock.advance(4400)
        plugin.job("sync")
        assert probed(plugin).code == "ok"
    assert rows(
        "SELECT day, revision, jump_percent FROM aliaport_currency_rates WHERE code = 'JPY' ORDER BY 1, 2"
    ) == ["2026-11-23|1|", "2026-11-24|1|-12.00", "2026-11-24|2|"]


def test_values_that_cannot_be_are_left_out_and_reported(
    tcmb: Tcmb, database: str, rows: Rows
) -> None:
    day = date(2026, 11, 24)
    tcmb.publish(day)
    right = tcmb.bulletins[day]
    tcmb.bulletins[day] = right.replace(b"<ForexBuying>55.1864", b"<ForexBuying>0")
    stored = "SELECT revision, code, forex_buying, forex_selling FROM aliaport_currency_rates"
    gbp = f"{stored} WHERE code = 'GBP' ORDER BY 1"
    clock = FakeClock(istanbul("2026-11-24 16:45"))
    with run_sync_plugin(tcmb, database, clock, first_day=str(day)) as plugin:
        assert plugin.job("sync") == "succeeded"
        assert rows(gbp) == ["1|GBP||55.2857"]
        assert len(rows(stored)) == 9
        problem = "GBP: ForexBuying is '0', not a positive number"
        (event,) = [e for e in plugin.logged if e["event"] == "currency_sync.values_left_out"]
        assert (event["day"], event["values"], event["problem"]) == (str(day), 1, problem)
        clock.advance(4400)  # an hour and its largest variation
        assert plugin.job("sync") == "succeeded"
        result = probed(plugin)
        assert (result.status, result.code) == ("degraded", "values_left_out")
        assert problem in result.summary
        assert samples(plugin)["aliaport_currency_sync_values_left_out_total"] == 1
        tcmb.bulletins[day] = right
        clock.advance(4400)  # an hour and its largest variation
        assert plugin.job("sync") == "succeeded"
        assert probed(plugin).code == "ok"
        assert rows(gbp) == ["1|GBP||55.2857", "2|GBP|55.1864|55.2857"]


def test_rejected_bulletins_are_reported_and_not_stored(
    tcmb: Tcmb, database: str, rows: Rows
) -> None:
    tcmb.publish(date(2026, 11, 24))
    tcmb.bulletins[date(2026, 11, 24)] = tcmb.bulletins[date(2026, 11, 24)].replace(
        b"<ForexBuying>41.8931", b"<ForexBuying>-41.8931"
    )
    clock = FakeClock(istanbul("2026-11-24 16:45"))
    with run_sync_plugin(tcmb, database, clock, first_day="2026-11-24") as plugin:
        assert plugin.job("sync") == "pending"
        assert rows("SELECT count(*) FROM aliaport_currency_rates") == ["0"]
        result = probed(plugin)
        assert result.code == "no_bulletin"
        assert "invalid_value: USD" in result.summary
        assert samples(plugin)["aliaport_currency_sync_failure"] == 1
        name = 'aliaport_currency_sync_failures_total{reason="invalid_value"}'
        assert samples(plugin)[name] == 1
        assert plugin.missed_runs("sync") == 0
        clock.advance(3700)
        assert plugin.missed_runs("sync") == 1
        assert plugin.missed_runs("sync") == 1, "it is counted once"
        (missed,) = [event for event in plugin.logged if event["event"] == "job.missed"]
        assert missed["due"] == "2026-11-24T15:30:00+03:00"


def test_a_future_bulletin_and_a_wrong_archive_file_are_rejected(
    tcmb: Tcmb, database: str, rows: Rows
) -> None:
    tcmb.publish(date(2026, 11, 25))
    tcmb.bulletins[date(2026, 11, 23)] = tcmb.bulletins[date(2026, 11, 25)]
    clock = FakeClock(istanbul("2026-11-24 16:45"))
    with run_sync_plugin(tcmb, database, clock, first_day="2026-11-23") as plugin:
        plugin.job("sync")
        name = 'aliaport_currency_sync_failures_total{reason="wrong_date"}'
        assert samples(plugin)[name] == 2
    assert rows("SELECT count(*) FROM aliaport_currency_bulletins") == ["0"]


def test_the_end_of_the_calendar_is_announced(tcmb: Tcmb, database: str) -> None:
    from aliaport_currency_sync.business_days import table_ends

    day = table_ends() - timedelta(days=10)
    while DAYS.kind(day) is not DayKind.BUSINESS:
        day -= timedelta(days=1)
    tcmb.publish(day)
    clock = FakeClock(istanbul(f"{day} 16:00"))
    with run_sync_plugin(tcmb, database, clock, first_day=str(day)) as plugin:
        plugin.job("sync")
        result = probed(plugin)
        assert (result.status, result.code) == ("degraded", "calendar_ends")


def test_an_extra_holiday_is_neither_requested_nor_missed(tcmb: Tcmb, database: str) -> None:
    tcmb.publish(date(2026, 11, 24))
    clock = FakeClock(istanbul("2026-11-25 18:00"))
    with run_sync_plugin(
        tcmb, database, clock, first_day="2026-11-24", extra_holidays=["2026-11-25"]
    ) as plugin:
        assert plugin.job("sync") == "succeeded"
        assert tcmb.paths() == [archive_path(date(2026, 11, 24))]
        assert probed(plugin).code == "ok"


def test_all_reasons_of_failures_are_exported_as_zero_from_the_start(
    tcmb: Tcmb, database: str
) -> None:
    with run_sync_plugin(tcmb, database, FakeClock(istanbul("2026-11-24 10:00"))) as plugin:
        page = samples(plugin)
    assert page["aliaport_currency_sync_success"] == page["aliaport_currency_sync_failure"] == 0
    reasons = {name for name in page if name.startswith("aliaport_currency_sync_failures_total{")}
    assert len(reasons) == len(Fault) + len(Outage) + 1
    assert all(page[name] == 0 for name in reasons)


async def test_a_replica_that_loses_the_lead_during_a_run_stores_nothing(
    tcmb: Tcmb, database: str, rows: Rows
) -> None:
    tcmb.publish(date(2026, 11, 24))
    arrived, released = threading.Event(), threading.Event()

    async def hold(_request: web.Request) -> web.StreamResponse:
        arrived.set()
        await asyncio.to_thread(released.wait, 50)
        return web.Response(body=document(date(2026, 11, 24)), content_type="application/xml")

    tcmb.behave("today.xml", hold)
    clock = FakeClock(istanbul("2026-11-24 16:00"))
    other = Leader(make_context("other", database_url=database), name=COMPONENT, component="other")
    options = {"first_day": "2026-11-24", "request_timeout": 60}
    with run_sync_plugin(tcmb, database, clock, **options) as plugin:
        loop = asyncio.get_running_loop()
        running = asyncio.create_task(asyncio.to_thread(plugin.job, "sync"))
        await asyncio.to_thread(arrived.wait, 30)
        assert not await other.holds()
        rows(
            "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid) "
            "WHERE locktype = 'advisory' AND granted AND datname = current_database()"
        )
        # The server releases the lock a moment after it terminates the connection.
        await asyncio.to_thread(
            wait_until,
            lambda: asyncio.run_coroutine_threadsafe(other.holds(), loop).result(20),
            "takeover",
        )
        released.set()
        assert await running == "pending"
        assert rows("SELECT count(*) FROM aliaport_currency_bulletins") == ["0"]
        assert any(event["event"] == "currency_sync.lost_lead" for event in plugin.logged)
        assert samples(plugin)["aliaport_currency_sync_leader"] == 0
        await other.release()
        clock.advance(100)
        assert await asyncio.to_thread(plugin.job, "sync") == "succeeded"
