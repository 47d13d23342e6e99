"""Tests every database fault that operators meet, with a real server over TCP, and recovery."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aliaport_db.plugin import DbPlugin

from aliaport.plugin import Status
from aliaport.postgres import FAULT_CODES
from aliaport.testing import RunningPlugin, run_plugin
from tests.support.postgres import TcpPostgres
from tests.support.waiting import wait_until

# Longer than the plugin's defaults, for slow machines.
PATIENT = {"connect_timeout": 2.0, "query_timeout": 2.0}


@pytest.fixture(scope="module")
def server(own_server: TcpPostgres) -> TcpPostgres:
    """Return a server for this file only, since its tests stop, freeze and configure it."""
    return own_server


@contextmanager
def run_db_plugin(dsn: str) -> Iterator[RunningPlugin]:
    with run_plugin(DbPlugin, PATIENT, database_url=dsn) as plugin:
        yield plugin


def code(plugin: RunningPlugin) -> str:
    result = plugin.probe("database")
    assert "a right password" not in result.summary
    assert "a wrong password" not in result.summary
    assert (result.status is Status.HEALTHY) == (result.code == "ok")
    return result.code


def wait_until_ok(plugin: RunningPlugin) -> None:
    wait_until(lambda: code(plugin) == "ok", "the probe recovers")


def test_a_healthy_server_and_its_metrics(server: TcpPostgres) -> None:
    with run_db_plugin(server.dsn()) as plugin:
        result = plugin.probe("database")
        assert result.code == "ok"
        assert (result.data["engine"], result.data["role"]) == ("postgresql", "primary")
        assert str(result.data["version"]).startswith("16.")
        assert isinstance(result.data["latency_ms"], float)
        samples = {(s.metric, *s.labels.values()): s.value for s in plugin.collect()}
        assert samples["aliaport_db_max_connections",] == 20
        assert samples["aliaport_db_connections", "active"] >= 1
        assert samples["aliaport_db_connections", "idle_in_transaction"] == 0
        assert 0 < samples["aliaport_cache_hit_rate", "postgresql"] <= 100
        assert samples["aliaport_db_size_bytes",] > 1_000_000
        assert samples["aliaport_db_latency_seconds",] > 0
        assert 'le="0.1"' in plugin.exposition()


def test_one_connection_serves_many_runs(server: TcpPostgres) -> None:
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'aliaport-db'"
    with run_db_plugin(server.dsn()) as plugin:
        for _ in range(50):
            assert code(plugin) == "ok"
        assert server.sql(query) == "1"
    wait_until(lambda: server.sql(query) == "0", "the connection is closed with the plugin")


def test_wrong_password(server: TcpPostgres) -> None:
    server.sql("CREATE ROLE guest LOGIN PASSWORD 'another'")
    with run_db_plugin(server.dsn(user="guest", password="a wrong password")) as plugin:
        assert code(plugin) == "wrong_password"
        server.sql("ALTER ROLE guest PASSWORD 'a wrong password'")
        wait_until_ok(plugin)


def test_a_user_without_login(server: TcpPostgres) -> None:
    server.sql("CREATE ROLE locked NOLOGIN PASSWORD 'a right password'")
    with run_db_plugin(server.dsn(user="locked")) as plugin:
        assert code(plugin) == "not_authorised"
        server.sql("ALTER ROLE locked LOGIN")
        wait_until_ok(plugin)


def test_unknown_database(server: TcpPostgres) -> None:
    with run_db_plugin(server.dsn(database="late")) as plugin:
        assert code(plugin) == "unknown_database"
        server.sql("CREATE DATABASE late")
        wait_until_ok(plugin)


def test_dns_failure(server: TcpPostgres) -> None:
    with run_db_plugin(server.dsn(host="no-such-host.invalid")) as plugin:
        wait_until(lambda: code(plugin) == "dns_failure", "the resolver gives up")


def test_connection_refused(server: TcpPostgres) -> None:
    with run_db_plugin(server.dsn()) as plugin:
        assert code(plugin) == "ok"
        server.stop()
        try:
            assert code(plugin) in ("connection_lost", "shutting_down", "connection_refused")
            assert code(plugin) == "connection_refused"
        finally:
            server.start()
        wait_until_ok(plugin)


def test_dropped_packets() -> None:
    """A listener with a full backlog: the kernel silently drops further SYNs."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        try:
            with run_db_plugin(f"postgresql://u:p@127.0.0.1:{port}/x") as plugin:
                assert code(plugin) == "connect_timeout"
        finally:
            for filler in fillers:
                filler.close()


def test_a_server_frozen_during_a_query_and_while_connecting(server: TcpPostgres) -> None:
    with run_db_plugin(server.dsn()) as plugin, run_db_plugin(server.dsn()) as late:
        assert code(plugin) == "ok"
        server.freeze()
        try:
            assert code(plugin) == "query_timeout"
            assert code(late) == "connect_timeout"
            assert code(plugin) == "connect_timeout"
        finally:
            server.thaw()
        wait_until_ok(plugin)
        wait_until_ok(late)


def test_too_many_connections(server: TcpPostgres) -> None:
    server.sql("CREATE ROLE limited LOGIN PASSWORD 'a right password' CONNECTION LIMIT 0")
    with run_db_plugin(server.dsn(user="limited")) as plugin:
        assert code(plugin) == "too_many_connections"
        server.sql("ALTER ROLE limited CONNECTION LIMIT 5")
        wait_until_ok(plugin)


def test_a_read_only_database(server: TcpPostgres) -> None:
    server.sql("ALTER DATABASE service SET default_transaction_read_only = on")
    try:
        with run_db_plugin(server.dsn()) as plugin:
            assert code(plugin) == "read_only"
        lenient = PATIENT | {"require_writable": False}
        with run_plugin(DbPlugin, lenient, database_url=server.dsn()) as plugin:
            assert code(plugin) == "ok"
    finally:
        server.sql("ALTER DATABASE service RESET default_transaction_read_only", "postgres")


def test_a_killed_backend_is_replaced(server: TcpPostgres) -> None:
    with run_db_plugin(server.dsn()) as plugin:
        # Many times, since the connection may be lost before, during or after the next query.
        for _ in range(30):
            assert code(plugin) == "ok"
            server.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'aliaport-db'"
            )
            assert code(plugin) == "ok"


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_between_two_runs_goes_unnoticed(server: TcpPostgres, mode: str) -> None:
    with run_db_plugin(server.dsn()) as plugin:
        assert code(plugin) == "ok"
        server.stop(mode)
        server.start()
        assert code(plugin) == "ok"


def test_a_changed_password_degrades_while_the_connection_works(
    server: TcpPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REPLACE_AFTER", "RETRY_AFTER"):
        monkeypatch.setattr(f"aliaport.postgres.reconnecting.{name}", -1.0)
    server.sql("CREATE ROLE changing LOGIN PASSWORD 'a right password'")
    with run_db_plugin(server.dsn(user="changing")) as plugin:
        assert code(plugin) == "ok"
        server.sql("ALTER ROLE changing PASSWORD 'another'")
        wait_until(lambda: code(plugin) == "wrong_password", "the replacement is refused")
        result = plugin.probe("database")
        assert result.status is Status.DEGRADED
        assert "no new connection can be opened: the server rejected the password" in result.summary
        server.sql("ALTER ROLE changing PASSWORD 'a right password'")
        wait_until_ok(plugin)
        server.sql("ALTER ROLE changing PASSWORD 'another'")
        server.stop()
        server.start()
        assert plugin.probe("database").status is Status.UNHEALTHY


@pytest.mark.service
def test_recovering_and_a_replica() -> None:
    """A standby without hot standby refuses every connection while it replays."""
    server = TcpPostgres(hot_standby="off")
    try:
        with run_db_plugin(server.dsn()) as plugin:
            assert code(plugin) == "ok"
            server.stop()
            (server.data / "standby.signal").touch()
            server.start(wait=False)
            wait_until(lambda: code(plugin) == "recovering", "the standby refuses connections")
            server.stop("immediate")
            with (server.data / "postgresql.conf").open("a") as conf:
                conf.write("hot_standby = on\n")
            server.start()
            wait_until(lambda: code(plugin) == "read_only", "a replica is read-only")
            assert plugin.probe("database").data["role"] == "replica"
            server.run("pg_ctl", "promote", "-w")
            wait_until_ok(plugin)
    finally:
        server.remove()


@pytest.mark.parametrize("name", sorted(FAULT_CODES))
def test_every_code_is_explained_in_the_readme(name: str) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    assert f"| `{name}` |" in readme
