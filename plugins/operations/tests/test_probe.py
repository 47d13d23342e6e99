"""The probe `operations`, and its section in /status."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aliaport_operations.schema import MIGRATIONS

from tests.support.operations import Operations
from tests.support.postgres import TcpPostgres

FIGURES = {"schema_version", "pool_used", "pool_max", "refused_last_minute"}


@pytest.fixture(scope="module")
def server(own_server: TcpPostgres) -> TcpPostgres:
    """A server of this file's own, since its tests stop and freeze it."""
    return own_server


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


def assert_others_unmoved(api: Operations) -> None:
    """The probe is not critical: a balancer that takes the replica out would not help."""
    assert api.service.get("/health").status == 200
    assert api.service.get("/ready").status == 200


def test_it_is_healthy_and_says_what_it_saw(api: Operations) -> None:
    told = wait_for_code(api, "ok")
    assert (told["status"], told["plugin"], told["critical"]) == ("healthy", "operations", False)
    assert told["data"] == {
        "schema_version": len(MIGRATIONS),
        "pool_used": 0,
        "pool_max": 10,
        "refused_last_minute": 0,
    }


def test_status_has_the_section_and_lists_plugin_and_application(api: Operations) -> None:
    wait_for_code(api, "ok")
    data = api.service.get("/status").json["data"]
    assert data["status"] == "healthy"
    assert data["operations"] == probe(api)["data"]
    assert set(data["operations"]) == FIGURES
    (listed,) = [each for each in data["probes"] if each["name"] == "operations"]
    assert listed["title"] == "Operations API"
    rows = {(row["name"], row["kind"]): row["state"] for row in data["plugins"]}
    assert rows["operations", "plugin"] == "running"
    assert rows["operations", "app"] == "running"


def test_tables_of_another_version_are_told(api: Operations) -> None:
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
            told = wait_for_code(api, "schema")
            assert (told["status"], told["data"]["schema_version"]) == ("unhealthy", version)
            assert str(version) in told["summary"]
            assert str(newest) in told["summary"]
            assert api.service.get("/status").json["data"]["status"] == "degraded"
            assert_others_unmoved(api)
        wait_for_code(api, "ok")


def test_without_its_table_of_versions_it_cannot_say_healthy(api: Operations) -> None:
    away = "ALTER TABLE aliaport_migrations RENAME TO elsewhere"
    with changed(api, away, "ALTER TABLE elsewhere RENAME TO aliaport_migrations"):
        told = wait_for_code(api, "database")
        assert told["status"] == "unhealthy"
    wait_for_code(api, "ok")


def test_a_database_that_is_gone_is_told_and_its_return_too(api: Operations) -> None:
    api.server.stop()
    try:
        told = wait_for_code(api, "database")
        assert told["status"] == "unhealthy"
        assert api.server.dsn() not in str(told)
        assert "password" not in str(told)
        section = api.service.get("/status").json["data"]["operations"]
        assert section == dict.fromkeys(FIGURES), "the keys stay, nothing is known"
        assert_others_unmoved(api)
    finally:
        api.server.start()
    wait_for_code(api, "ok")


def test_a_database_that_hangs_is_told_within_the_probes_time(api: Operations) -> None:
    api.server.freeze()
    try:
        told = wait_for_code(api, "database")
        assert told["status"] == "unhealthy"
        assert "Timeout" in told["summary"], "it ended by itself, not by the host's limit"
        assert_others_unmoved(api)
    finally:
        api.server.thaw()
    wait_for_code(api, "ok")
