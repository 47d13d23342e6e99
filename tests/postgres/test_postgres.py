"""Bounded connections, pools, the leader and migrations, on a real server over TCP."""

import asyncio
import time
from typing import Any

import asyncpg
import pytest

from aliaport import postgres
from aliaport.errors import AliaportError
from aliaport.postgres import (
    Leader,
    Migration,
    MigrationError,
    Pool,
    QueryTimeout,
    ReconnectingConnection,
    migrate,
)
from aliaport.testing import make_context
from tests.support.postgres import TcpPostgres
from tests.support.waiting import eventually, wait_until


@pytest.fixture(scope="module")
def server(own_server: TcpPostgres) -> TcpPostgres:
    """Return a server that only this file uses, since a test freezes it."""
    return own_server


def timed(context: Any) -> int:
    """Return the number of statements that were timed."""
    (values,) = context.registry.snapshot()["aliaport_db_query_duration_seconds"].values()
    return int(sum(values.counts))


async def test_statements_have_timeouts_a_name_and_a_duration(server: TcpPostgres) -> None:
    context = make_context("x", database_url=server.dsn())
    connection = await postgres.connect(context, component="x", statement_timeout=0.2)
    assert await connection.fetchval("SHOW application_name") == "aliaport-x"
    with pytest.raises((TimeoutError, asyncpg.QueryCanceledError)):
        await connection.fetch("SELECT pg_sleep(30)")
    await postgres.close(connection)
    assert timed(context) >= 1


async def test_a_missing_url_and_a_frozen_server_fail_clearly(server: TcpPostgres) -> None:
    with pytest.raises(AliaportError, match="set DATABASE_URL"):
        await postgres.connect(make_context("x"), component="x")
    context = make_context("x", database_url=server.dsn())
    connection = await postgres.connect(context, component="x")
    pool = Pool(context, component="x", size=2)
    await pool.start()
    server.freeze()
    try:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await postgres.connect(context, component="x", timeout=0.3)
        await postgres.close(connection, timeout=0.3)
        await pool.stop()
        assert time.monotonic() - began < 20, "something waited for the frozen server"
    finally:
        server.thaw()


async def test_the_pool_is_bounded_and_measured(server: TcpPostgres) -> None:
    context = make_context("x", database_url=server.dsn())
    pool = Pool(context, component="x", size=1)

    def gauges() -> list[Any]:
        samples = context.registry.snapshot()
        return [samples[f"aliaport_db_pool_{name}"]["x",] for name in ("used", "idle", "max")]

    with pytest.raises(RuntimeError, match="not started"):
        async with pool.acquire():
            pass
    await pool.start()
    assert gauges() == [0, 1, 1]
    async with pool.acquire() as connection:
        assert await connection.fetchval("SELECT 1") == 1
        assert gauges() == [1, 0, 1]
        with pytest.raises(TimeoutError):
            async with pool.acquire(timeout=0.1):
                pass
    assert gauges() == [0, 1, 1]
    await pool.stop()
    assert timed(context) >= 1


async def test_there_is_one_leader_and_its_loss_is_noticed(server: TcpPostgres) -> None:
    context = make_context("x", database_url=server.dsn())
    first = Leader(context, name="job", component="x")
    second = Leader(context, name="job", component="x")
    other = Leader(context, name="another job", component="x")
    assert await first.holds()
    assert not await second.holds()
    assert await other.holds()
    assert await first.holds()
    server.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE locktype = 'advisory'"
    )
    # The server releases the lock shortly after it closes the connection.
    await eventually(second.holds, "another replica leads after the leader has lost its connection")
    assert not await first.holds()
    await second.release()
    await eventually(first.holds, "another replica leads after the leader has released the lock")
    await first.release()
    await other.release()


async def test_the_server_closes_the_session_of_a_client_that_vanished_or_froze(
    server: TcpPostgres,
) -> None:
    context = make_context("x", database_url=server.dsn())
    connection = await postgres.connect(context, component="x")
    assert await connection.fetchval("SHOW tcp_keepalives_idle") == "10"
    await postgres.close(connection)
    frozen = Leader(context, name="leased", component="x", lease=0.5)
    other = Leader(context, name="leased", component="x", lease=0.5)
    with pytest.raises(RuntimeError, match="does not lead"):
        _ = frozen.session
    assert await frozen.holds()
    session = frozen.session
    # The leader sends nothing more, like a frozen process; the lock is released when its lease expires.
    await eventually(other.holds, "the lock of a silent leader is released")
    # InternalClientError: asyncpg has read a part of the server's closing message when the statement begins.
    ended = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
    with pytest.raises((*ended, ConnectionError)):
        await session.execute("CREATE TABLE written_by_a_past_leader ()")
    assert not await frozen.holds()
    assert not frozen.leads
    await frozen.release()
    await other.release()


async def test_callers_of_one_connection_wait_for_each_other(server: TcpPostgres) -> None:
    context = make_context("x", database_url=server.dsn())
    link = ReconnectingConnection(context, component="linked", connect_timeout=2, query_timeout=1)
    responses = await asyncio.gather(*(link.fetch("SELECT $1::int AS n", n) for n in range(20)))
    assert [rows[0]["n"] for rows in responses] == list(range(20))
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'aliaport-linked'"
    assert server.sql(count) == "1"
    with pytest.raises(QueryTimeout):
        await link.fetch("SELECT pg_sleep(30)")
    assert (await link.fetch("SELECT 1 AS n"))[0]["n"] == 1
    await link.close()


ONE = Migration(1, "table", "CREATE TABLE things (id integer PRIMARY KEY)")
TWO = Migration(2, "column", "ALTER TABLE things ADD name text")


async def test_migrations_run_once_with_any_number_of_replicas(server: TcpPostgres) -> None:
    context = make_context("x", database_url=server.dsn())
    done = await asyncio.gather(*(migrate(context, "x", [ONE]) for _ in range(4)))
    assert sorted(done) == [0, 0, 0, 1]
    assert await migrate(context, "x", [ONE, TWO]) == 1
    assert server.sql("SELECT count(*) FROM aliaport_migrations WHERE component = 'x'") == "2"


async def test_inconsistent_migrations_are_refused(server: TcpPostgres) -> None:
    context = make_context("y", database_url=server.dsn())
    good = Migration(1, "table", "CREATE TABLE others (id integer)")
    assert await migrate(context, "y", [good]) == 1
    with pytest.raises(MigrationError, match="applied and then changed"):
        await migrate(context, "y", [Migration(1, "table", "CREATE TABLE others (id bigint)")])
    with pytest.raises(MigrationError, match="install the newer version"):
        await migrate(context, "y", [])
    with pytest.raises(MigrationError, match="must be numbered"):
        await migrate(context, "y", [Migration(2, "gap", "SELECT 1")])
    broken = Migration(2, "broken", "CREATE TABLE half (id integer); SELECT nonsense")
    with pytest.raises(MigrationError, match="failed and was rolled back"):
        await migrate(context, "y", [good, broken])
    assert server.sql("SELECT to_regclass('half') IS NULL") == "t"
    wait_until(lambda: server.sql("SELECT 1") == "1", "the server still works")
