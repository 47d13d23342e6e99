"""Tests the job, the probe and the store against a failing database: a real server, over TCP."""

import asyncio
import threading
from datetime import UTC, date, datetime
from decimal import Decimal

import asyncpg
import pytest
from aliaport_currency_sync.bulletin import parse
from aliaport_currency_sync.business_days import BusinessDays
from aliaport_currency_sync.indexes import INDEXES
from aliaport_currency_sync.plugin import CurrencySyncPlugin
from aliaport_currency_sync.schema import prepare
from aliaport_currency_sync.store import Change, store

from aliaport import postgres
from aliaport.errors import AliaportError
from aliaport.testing import FakeClock, RunningPlugin, make_context, run_plugin
from tests.support.fixtures import Rows
from tests.support.indexes import check_listed_indexes
from tests.support.operations_locks import holding
from tests.support.postgres import TcpPostgres
from tests.support.sql import run_sql
from tests.support.tcmb import Tcmb, document, istanbul
from tests.support.waiting import wait_until

DAY = date(2026, 11, 24)
NOW = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)
LIMIT = Decimal(10)
DAYS = BusinessDays()


@pytest.fixture(scope="module")
def server(own_server: TcpPostgres) -> TcpPostgres:
    """Return a server for this file only, since its tests stop and freeze it."""
    return own_server


async def connected(database: str) -> postgres.Connection:
    context = make_context("currency_sync", database_url=database)
    await prepare(context)
    return await postgres.connect(context, component="currency_sync")


async def test_storing_twice_changes_nothing(database: str) -> None:
    connection = await connected(database)
    bulletin = parse(document(DAY))
    first = await store(connection, bulletin, days=DAYS, jump_percent=LIMIT, now=NOW)
    second = await store(connection, bulletin, days=DAYS, jump_percent=LIMIT, now=NOW)
    assert (first.change, first.revision) == (Change.ADDED, 1)
    assert (second.change, second.revision) == (Change.NOTHING, 1)
    corrected = parse(document(DAY, percent=1))
    third = await store(connection, corrected, days=DAYS, jump_percent=LIMIT, now=NOW)
    assert (third.change, third.revision) == (Change.REVISED, 2)
    await postgres.close(connection)


async def test_many_writers_of_one_bulletin_store_it_once(database: str) -> None:
    connections = [await connected(database) for _ in range(6)]
    bulletin = parse(document(DAY))
    stored = await asyncio.gather(
        *(
            store(connection, bulletin, days=DAYS, jump_percent=LIMIT, now=NOW)
            for connection in connections
        )
    )
    assert sorted(result.change.value for result in stored) == ["added", *["nothing"] * 5]
    for connection in connections:
        await postgres.close(connection)


async def test_six_replicas_create_the_tables_at_once(database: str) -> None:
    contexts = [make_context("currency_sync", database_url=database) for _ in range(6)]
    await asyncio.gather(*(prepare(context) for context in contexts))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE aliaport_currency_rates SET forex_buying = -1",
        "UPDATE aliaport_currency_rates SET forex_buying = 0",
        "UPDATE aliaport_currency_rates SET forex_selling = forex_buying - 0.0001",
        "UPDATE aliaport_currency_rates SET unit = 0",
        "UPDATE aliaport_currency_rates SET code = 'usd'",
        "UPDATE aliaport_currency_rates SET code = 'USD'",
        "UPDATE aliaport_currency_rates SET revision = 2",
        "UPDATE aliaport_currency_bulletins SET revision = 0",
        "DELETE FROM aliaport_currency_bulletins",
        "INSERT INTO aliaport_currency_begin (only_row, day) VALUES (false, '2026-01-01')",
    ],
)
async def test_the_database_rejects_impossible_rows(database: str, statement: str) -> None:
    connection = await connected(database)
    await store(connection, parse(document(DAY)), days=DAYS, jump_percent=LIMIT, now=NOW)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await connection.execute(statement)
    await postgres.close(connection)


async def test_every_digit_is_kept(database: str) -> None:
    connection = await connected(database)
    text = document(DAY).replace(b"<ForexBuying>41.8931<", b"<ForexBuying>41.89310000<")
    await store(connection, parse(text), days=DAYS, jump_percent=LIMIT, now=NOW)
    stored = await connection.fetchval(
        "SELECT forex_buying FROM aliaport_currency_rates WHERE code = 'USD'"
    )
    assert str(stored) == "41.89310000"
    await postgres.close(connection)


def lock_until_the_server_stops(database: str) -> None:
    """Lock the rates until the server is stopped."""
    lock = "BEGIN; LOCK TABLE aliaport_currency_rates IN EXCLUSIVE MODE; SELECT pg_sleep(60)"
    with pytest.raises((asyncpg.PostgresError, ConnectionError)):
        run_sql(f"{database}?application_name=blocker", lock)


def scraped(plugin: RunningPlugin) -> str | None:
    """Return the metrics, or None if a collector failed."""
    try:
        return plugin.exposition()
    except AliaportError:
        return None


def test_a_restart_during_a_write_leaves_nothing_partially_stored(
    server: TcpPostgres, tcmb: Tcmb, database: str, rows: Rows
) -> None:
    """A lock holds the write in its transaction while the server is restarted."""
    tcmb.publish(DAY)
    clock = FakeClock(istanbul("2026-11-24 16:00"))
    options = {"source": tcmb.address, "request_interval": 0, "first_day": str(DAY)}
    with run_plugin(
        CurrencySyncPlugin, options, database_url=database, clock=clock, jobs=False
    ) as plugin:
        blocker = threading.Thread(target=lock_until_the_server_stops, args=[database])
        blocker.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{}' AND {}"
        wait_until(
            lambda: rows(waiting.format("blocker", "wait_event = 'PgSleep'")) == ["1"],
            "the table is locked",
        )
        results: list[str] = []
        running = threading.Thread(target=lambda: results.append(plugin.job("sync")))
        running.start()
        writing = "wait_event_type = 'Lock' AND query LIKE 'COPY%'"
        wait_until(
            lambda: rows(waiting.format("aliaport-currency_sync", writing)) == ["1"],
            "the write waits in its transaction",
        )
        server.stop("immediate")
        running.join(30)
        blocker.join(30)
        assert results == ["failed"]
        assert plugin.probe("currency_rates").code == "database"
        server.start()
        assert rows("SELECT count(*) FROM aliaport_currency_bulletins") == ["0"]
        wait_until(
            lambda: plugin.probe("currency_rates").code == "no_bulletin", "the probe reconnects"
        )
        page = wait_until(lambda: scraped(plugin), "the collectors reconnect")
        assert page is not None
        assert 'aliaport_currency_sync_failures_total{reason="database"} 1' in page
        clock.advance(700)
        wait_until(lambda: plugin.job("sync") == "succeeded", "the next run stores it")
        assert rows("SELECT count(*) FROM aliaport_currency_rates") == ["9"]
        assert plugin.probe("currency_rates").code == "ok"


def test_a_frozen_database_is_reported_in_time(
    server: TcpPostgres, tcmb: Tcmb, database: str
) -> None:
    tcmb.publish(DAY)
    clock = FakeClock(istanbul("2026-11-24 16:00"))
    options = {"source": tcmb.address, "request_interval": 0, "first_day": str(DAY)}
    with run_plugin(
        CurrencySyncPlugin, options, database_url=database, clock=clock, jobs=False
    ) as plugin:
        assert plugin.job("sync") == "succeeded"
        server.freeze()
        try:
            result = plugin.probe("currency_rates")
            assert (result.status, result.code) == ("unhealthy", "database")
            assert plugin.job("sync") == "failed"
        finally:
            server.thaw()
        wait_until(lambda: plugin.probe("currency_rates").code == "ok", "the probe recovers")
        wait_until(lambda: plugin.job("sync") == "succeeded", "the job recovers")


async def test_the_listed_indexes_are_those_of_the_tables(database: str) -> None:
    await prepare(make_context("currency_sync", database_url=database))
    await check_listed_indexes(database, INDEXES, "aliaport_currency_")


def test_a_locked_table_and_a_missing_index_are_reported(
    tcmb: Tcmb, database: str, rows: Rows
) -> None:
    tcmb.publish(DAY)
    clock = FakeClock(istanbul("2026-11-24 16:00"))
    options = {
        "source": tcmb.address,
        "request_interval": 0,
        "first_day": str(DAY),
        "probe_timeout": 3,
    }
    with run_plugin(
        CurrencySyncPlugin, options, database_url=database, clock=clock, jobs=False
    ) as plugin:
        assert plugin.job("sync") == "succeeded"
        with holding(database, "LOCK TABLE aliaport_currency_rates IN ACCESS EXCLUSIVE MODE"):
            result = plugin.probe("currency_rates")
        assert (result.status, result.code) == ("unhealthy", "statement_timeout")
        assert "waited for a lock on aliaport_currency_rates of process" in result.summary
        rows("ALTER TABLE aliaport_currency_rates DROP CONSTRAINT aliaport_currency_rates_pkey")
        result = plugin.probe("currency_rates")
        assert (result.status, result.code) == ("degraded", "index_missing")
        rows(result.summary.partition(": ")[2])
        assert plugin.probe("currency_rates").code == "ok"


def test_a_missing_table_fails_the_probe_but_not_the_service(
    tcmb: Tcmb, database: str, rows: Rows
) -> None:
    with run_plugin(
        CurrencySyncPlugin, {"source": tcmb.address}, database_url=database, jobs=False
    ) as plugin:
        rows("DROP TABLE aliaport_currency_rates")
        assert plugin.probe("currency_rates").code == "database"
        assert plugin.job("sync") == "failed"
