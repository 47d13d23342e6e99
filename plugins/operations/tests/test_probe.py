"""The probe `operations`, and its section in /status."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest
from aliaport_operations.indexes import INDEXES
from aliaport_operations.plugin import OperationsPlugin
from aliaport_operations.schema import MIGRATIONS, prepare

from aliaport.testing import make_context, run_plugin
from tests.support.fixtures import Rows
from tests.support.indexes import check_listed_indexes
from tests.support.operations import PATIENT, Operations, serve
from tests.support.operations_locks import held
from tests.support.postgres import TcpPostgres
from tests.support.sql import run_sql
from tests.support.waiting import wait_until

FIELDS = {"schema_version", "pool_used", "pool_max", "refused_last_minute", "timed_out_last_minute"}


@pytest.fixture(scope="module")
def server(own_server: TcpPostgres) -> TcpPostgres:
    """Return a server for this file alone, since its tests stop and freeze it."""
    return own_server


@pytest.fixture(scope="module")
def api(server: TcpPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operations]:
    folder = tmp_path_factory.mktemp("probe") / "run"
    settings = {
        **PATIENT,
        "ALIAPORT_APPS__OPERATIONS__STATEMENT_TIMEOUT": "4",
        # Long enough for a look-up on a busy machine. Connecting, which may take 1.5 times as long,
        # must end within the timeout of /status.
        "ALIAPORT_PLUGINS__OPERATIONS__PROBE_TIMEOUT": "1.5",
        # A scrape must not wait for a table that a test has locked.
        "ALIAPORT_PLUGINS__OPERATIONS__TOTALS_INTERVAL": "3600",
    }
    with serve(server, folder, **settings) as operations:
        yield operations


def test_the_connection_of_the_probe_is_open_before_its_first_run(
    database: str, rows: Rows
) -> None:
    pids = (
        "SELECT pid FROM pg_stat_activity "
        "WHERE application_name = 'aliaport-operations' AND datname = current_database()"
    )
    with run_plugin(OperationsPlugin, {}, database_url=database, jobs=False) as plugin:
        wait_until(lambda: len(rows(pids)) == 1, "that of the migrations is closed")
        before = rows(pids)
        assert plugin.probe("operations").code == "ok"
        assert rows(pids) == before


def probe(api: Operations) -> Any:
    return api.service.get("/status/operations").json["data"]


def wait_for_code(api: Operations, code: str) -> Any:
    api.service.wait_for(lambda: probe(api)["code"] == code, f"the probe says {code}")
    return probe(api)


@contextmanager
def changed(api: Operations, change: str, back: str) -> Iterator[None]:
    api.sql(change)
    try:
        yield
    finally:
        api.sql(back)


def assert_still_ready(api: Operations) -> None:
    """Check that /health and /ready are 200, since the probe is not critical."""
    assert api.service.get("/health").status == 200
    assert api.service.get("/ready").status == 200


def test_it_is_healthy_and_reports_its_data(api: Operations) -> None:
    result = wait_for_code(api, "ok")
    assert (result["status"], result["plugin"], result["critical"]) == (
        "healthy",
        "operations",
        False,
    )
    assert result["data"] == {
        "schema_version": len(MIGRATIONS),
        "pool_used": 0,
        "pool_max": 10,
        "refused_last_minute": 0,
        "timed_out_last_minute": 0,
    }


def test_status_has_the_section_and_lists_plugin_and_application(api: Operations) -> None:
    wait_for_code(api, "ok")
    data = api.service.get("/status").json["data"]
    assert data["status"] == "healthy"
    assert data["operations"] == probe(api)["data"]
    assert set(data["operations"]) == FIELDS
    (listed,) = [row for row in data["probes"] if row["name"] == "operations"]
    assert listed["title"] == "Operations API"
    rows = {(row["name"], row["kind"]): row["state"] for row in data["plugins"]}
    assert rows["operations", "plugin"] == "running"
    assert rows["operations", "app"] == "running"


def test_tables_of_another_version_are_reported(api: Operations) -> None:
    newest = len(MIGRATIONS)
    newer = newest + 1
    for version, change, back in (
        (
            newer,
            "INSERT INTO aliaport_migrations SELECT (m).* FROM (SELECT jsonb_populate_record("
            f"m, '{{\"number\": {newer}}}') AS m FROM aliaport_migrations m "
            f"WHERE component = 'operations' AND number = {newest}) AS copied",
            f"DELETE FROM aliaport_migrations WHERE component = 'operations' AND number = {newer}",
        ),
        (
            newest - 1,
            "UPDATE aliaport_migrations SET component = 'elsewhere' "
            f"WHERE component = 'operations' AND number = {newest}",
            "UPDATE aliaport_migrations SET component = 'operations' WHERE component = 'elsewhere'",
        ),
    ):
        with changed(api, change, back):
            result = wait_for_code(api, "schema")
            assert (result["status"], result["data"]["schema_version"]) == ("unhealthy", version)
            assert str(version) in result["summary"]
            assert str(newest) in result["summary"]
            assert api.service.get("/status").json["data"]["status"] == "degraded"
            assert_still_ready(api)
        wait_for_code(api, "ok")


async def test_the_listed_indexes_are_those_of_the_tables(server: TcpPostgres) -> None:
    url = server.dsn(database=server.new_database("indexes"))
    await prepare(make_context("operations", database_url=url))
    await check_listed_indexes(url, INDEXES, "aliaport_operations_")


@pytest.mark.parametrize("table", ["accounts", "sessions"])
def test_a_locked_table_is_reported_with_the_holder_of_the_lock(
    api: Operations, table: str
) -> None:
    wait_for_code(api, "ok")
    holder = f"waited for a lock on aliaport_operations_{table} of process "
    with held(api, f"LOCK TABLE aliaport_operations_{table} IN ACCESS EXCLUSIVE MODE"):
        # A look-up that takes long on a busy machine is not there in time.
        wait_until(lambda: probe(api)["summary"].startswith(holder), "the probe names the holder")
        result = probe(api)
        assert (result["status"], result["code"]) == ("unhealthy", "statement_timeout")
        assert_still_ready(api)
    wait_for_code(api, "ok")


WORDS = "aliaport_operations_accounts_words"


def test_a_dropped_index_is_reported_with_the_sql_that_creates_it(api: Operations) -> None:
    api.sql(f"DROP INDEX {WORDS}")
    result = wait_for_code(api, "index_missing")
    assert result["status"] == "degraded"
    assert_still_ready(api)
    api.sql(result["summary"].partition(": ")[2])
    api.service.wait_for(lambda: probe(api)["code"] != "index_missing", "the index is back")


def test_an_index_that_was_not_completed_is_reported(api: Operations) -> None:
    api.sql(f"DROP INDEX {WORDS}")
    (index,) = [index for index in INDEXES if index.name == WORDS]
    with held(api, "LOCK TABLE aliaport_operations_accounts IN ROW EXCLUSIVE MODE"):
        url = f"{api.server.dsn(database=api.database)}?statement_timeout=300"
        with pytest.raises(asyncpg.QueryCanceledError):
            run_sql(url, index.command)
    result = wait_for_code(api, "index_invalid")
    assert result["status"] == "degraded"
    api.sql(result["summary"].partition(": ")[2])
    api.service.wait_for(lambda: probe(api)["code"] != "index_invalid", "the index is valid")


def test_it_is_unhealthy_without_the_migrations_table(api: Operations) -> None:
    away = "ALTER TABLE aliaport_migrations RENAME TO elsewhere"
    with changed(api, away, "ALTER TABLE elsewhere RENAME TO aliaport_migrations"):
        result = wait_for_code(api, "database")
        assert result["status"] == "unhealthy"
    wait_for_code(api, "ok")


def test_a_stopped_database_and_its_return_are_reported(api: Operations) -> None:
    api.server.stop()
    try:
        result = wait_for_code(api, "database")
        assert result["status"] == "unhealthy"
        assert api.server.dsn() not in str(result)
        assert "password" not in str(result)
        section = api.service.get("/status").json["data"]["operations"]
        assert section == dict.fromkeys(FIELDS), "the keys stay, with null values"
        assert_still_ready(api)
    finally:
        api.server.start()
    wait_for_code(api, "ok")


def test_a_frozen_database_is_reported_within_the_timeout_of_the_probe(api: Operations) -> None:
    api.server.freeze()
    try:
        result = wait_for_code(api, "database")
        assert result["status"] == "unhealthy"
        causes = ("the statement timed out", "no connection after", "connecting timed out")
        assert any(cause in result["summary"] for cause in causes), result["summary"]
        assert_still_ready(api)
    finally:
        api.server.thaw()
    wait_for_code(api, "ok")


# The last test, because its result stays for a minute.
def test_a_sign_in_that_waits_for_a_lock_is_reported_as_a_timeout(api: Operations) -> None:
    wait_for_code(api, "ok")
    # Reads pass this lock, so the probe's own do.
    with held(api, "LOCK TABLE aliaport_operations_sessions IN EXCLUSIVE MODE"):
        response = api.sign_in("clerk")
        assert (response.status, response.json["error"]["code"]) == (503, "statement_timeout")
        assert int(response.headers["Retry-After"]) >= 1
    result = wait_for_code(api, "statement_timeout")
    assert result["status"] == "degraded"
    assert "lock on aliaport_operations_sessions" in result["summary"]
    assert result["data"]["timed_out_last_minute"] == 1
    assert_still_ready(api)
