"""Every fault of a database that operators meet, made for real over TCP, and how it heals."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aliaport_db.faults import REASONS
from aliaport_db.plugin import DbPlugin

from aliaport.plugin import Status
from aliaport.testing import RunningPlugin, run_plugin
from tests.support.postgres import TcpPostgres
from tests.support.waiting import wait_until

# Wider than the plugin's own defaults: a slow machine proves no less.
PATIENT = {"connect_timeout": 2.0, "query_timeout": 2.0}


@pytest.fixture(scope="module")
def server(own_server: TcpPostgres) -> TcpPostgres:
    """A server of this file's own, since its tests stop, freeze and configure it."""
    return own_server


@contextmanager
def watching(dsn: str) -> Iterator[RunningPlugin]:
    with run_plugin(DbPlugin, PATIENT, database_url=dsn) as plugin:
        yield plugin


def code(plugin: RunningPlugin) -> str:
    answer = plugin.probe("database")
    assert "a right password" not in answer.summary
    assert "a wrong password" not in answer.summary
    assert (answer.status is Status.HEALTHY) == (answer.code == "ok")
    return answer.code


def heals(plugin: RunningPlugin) -> None:
    wait_until(lambda: code(plugin) == "ok", "the probe heals by itself")


def test_a_good_server_and_its_figures(server: TcpPostgres) -> None:
    with watching(server.dsn()) as plugin:
        answer = plugin.probe("database")
        assert answer.code == "ok"
        assert (answer.data["engine"], answer.data["role"]) == ("postgresql", "primary")
        assert str(answer.data["version"]).startswith("16.")
        assert isinstance(answer.data["latency_ms"], float)
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
    with watching(server.dsn()) as plugin:
        for _ in range(50):
            assert code(plugin) == "ok"
        assert server.sql(query) == "1"
    wait_until(lambda: server.sql(query) == "0", "the connection is closed with the plugin")


def test_wrong_password(server: TcpPostgres) -> None:
    server.sql("CREATE ROLE guest LOGIN PASSWORD 'another'")
    with watching(server.dsn(user="guest", password="a wrong password")) as plugin:
        assert code(plugin) == "wrong_password"
        server.sql("ALTER ROLE guest PASSWORD 'a wrong password'")
        heals(plugin)


def test_a_user_whom_the_server_does_not_let_in(server: TcpPostgres) -> None:
    server.sql("CREATE ROLE locked NOLOGIN PASSWORD 'a right password'")
    with watching(server.dsn(user="locked")) as plugin:
        assert code(plugin) == "not_authorised"
        server.sql("ALTER ROLE locked LOGIN")
        heals(plugin)


def test_unknown_database(server: TcpPostgres) -> None:
    with watching(server.dsn(database="late")) as plugin:
        assert code(plugin) == "unknown_database"
        server.sql("CREATE DATABASE late")
        heals(plugin)


def test_dns_failure(server: TcpPostgres) -> None:
    with watching(server.dsn(host="no-such-host.invalid")) as plugin:
        wait_until(lambda: code(plugin) == "dns_failure", "the resolver gives up")


def test_refused(server: TcpPostgres) -> None:
    with watching(server.dsn()) as plugin:
        assert code(plugin) == "ok"
        server.stop()
        try:
            assert code(plugin) in ("connection_lost", "shutting_down", "connection_refused")
            assert code(plugin) == "connection_refused"
        finally:
            server.start()
        heals(plugin)


def test_a_black_hole() -> None:
    """A listener whose backlog is full: the kernel drops further SYNs without an answer."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        try:
            with watching(f"postgresql://u:p@127.0.0.1:{port}/x") as plugin:
                assert code(plugin) == "connect_timeout"
        finally:
            for filler in fillers:
                filler.close()


def test_frozen_in_mid_query_and_while_connecting(server: TcpPostgres) -> None:
    with watching(server.dsn()) as plugin, watching(server.dsn()) as late:
        assert code(plugin) == "ok"
        server.freeze()
        try:
            assert code(plugin) == "query_timeout"
            assert code(late) == "connect_timeout"
            assert code(plugin) == "connect_timeout"
        finally:
            server.thaw()
        heals(plugin)
        heals(late)


def test_too_many_connections(server: TcpPostgres) -> None:
    server.sql("CREATE ROLE limited LOGIN PASSWORD 'a right password' CONNECTION LIMIT 0")
    with watching(server.dsn(user="limited")) as plugin:
        assert code(plugin) == "too_many_connections"
        server.sql("ALTER ROLE limited CONNECTION LIMIT 5")
        heals(plugin)


def test_read_only_and_back(server: TcpPostgres) -> None:
    server.sql("ALTER DATABASE service SET default_transaction_read_only = on")
    try:
        with watching(server.dsn()) as plugin:
            assert code(plugin) == "read_only"
        lenient = PATIENT | {"require_writable": False}
        with run_plugin(DbPlugin, lenient, database_url=server.dsn()) as plugin:
            assert code(plugin) == "ok"
    finally:
        server.sql("ALTER DATABASE service RESET default_transaction_read_only", "postgres")


def test_a_killed_backend_is_replaced(server: TcpPostgres) -> None:
    with watching(server.dsn()) as plugin:
        # Often, since the loss may come before, in and after the next statement.
        for _ in range(30):
            assert code(plugin) == "ok"
            server.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'aliaport-db'"
            )
            assert code(plugin) in ("shutting_down", "connection_lost")
            heals(plugin)


@pytest.mark.service
def test_recovering_and_a_replica() -> None:
    """A standby without hot standby refuses every connection while it replays."""
    server = TcpPostgres(hot_standby="off")
    try:
        with watching(server.dsn()) as plugin:
            assert code(plugin) == "ok"
            server.stop()
            (server.data / "standby.signal").touch()
            server.start(wait=False)
            wait_until(lambda: code(plugin) == "recovering", "the standby refuses")
            server.stop("immediate")
            with (server.data / "postgresql.conf").open("a") as conf:
                conf.write("hot_standby = on\n")
            server.start()
            wait_until(lambda: code(plugin) == "read_only", "a replica only reads")
            assert plugin.probe("database").data["role"] == "replica"
            server.run("pg_ctl", "promote", "-w")
            heals(plugin)
    finally:
        server.remove()


@pytest.mark.parametrize("name", sorted(REASONS))
def test_every_code_is_explained_in_the_readme(name: str) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    assert f"| `{name}` |" in readme
