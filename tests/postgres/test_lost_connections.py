"""Idle connections that the server has closed: they are opened again before they are used."""

import asyncio

import pytest

from aliaport import postgres
from aliaport.postgres import Pool, ReconnectingConnection
from aliaport.testing import make_context
from tests.support.postgres import TcpPostgres
from tests.support.waiting import wait_until

KILL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'aliaport-x'"
)
PIDS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'aliaport-x'"


@pytest.fixture(scope="module")
def server(own_server: TcpPostgres) -> TcpPostgres:
    """Return a server that only this file uses, since its tests stop it."""
    return own_server


def pids(server: TcpPostgres) -> set[str]:
    return set(server.sql(PIDS).split())


def end(server: TcpPostgres, how: str) -> None:
    """End all sessions of the component, in one of the ways in which servers do."""
    if how == "terminated":
        before = pids(server)
        server.sql(KILL)
        wait_until(lambda: not before & pids(server), "the sessions have ended")
    else:
        server.stop(how)
        server.start()


@pytest.mark.parametrize("how", ["terminated", "fast", "immediate"])
async def test_no_statement_fails_on_a_connection_that_was_closed_while_idle(
    server: TcpPostgres, how: str
) -> None:
    context = make_context("x", database_url=server.dsn())
    link = ReconnectingConnection(context, component="x", connect_timeout=30, query_timeout=30)
    pool = Pool(context, component="x", size=3)
    await pool.start()
    for _ in range(3):
        await link.fetch("SELECT 1")
        async with pool.acquire() as one, pool.acquire() as two, pool.acquire() as three:
            for connection in (one, two, three):
                await connection.fetchval("SELECT 1")
        await asyncio.to_thread(end, server, how)
        (row,) = await link.fetch("SELECT 1 AS n")
        assert row["n"] == 1
        async with pool.acquire() as one, pool.acquire() as two, pool.acquire() as three:
            for connection in (one, two, three):
                async with connection.transaction():
                    assert await connection.fetchval("SELECT 1") == 1
    await pool.stop()
    await link.close()


async def test_a_session_that_the_server_has_timed_out_is_replaced(server: TcpPostgres) -> None:
    context = make_context("x", database_url=server.dsn())
    pool = Pool(context, component="x", size=1, settings={"idle_session_timeout": "400"})
    await pool.start()
    (before,) = pids(server)
    await asyncio.to_thread(wait_until, lambda: before not in pids(server), "the session has ended")
    async with pool.acquire() as connection, connection.transaction():
        assert await connection.fetchval("SELECT 1") == 1
    await pool.stop()


async def test_a_read_is_repeated_if_its_session_ends_at_that_moment(server: TcpPostgres) -> None:
    context = make_context("x", database_url=server.dsn())
    link = ReconnectingConnection(
        context, component="x", connect_timeout=30, query_timeout=30, reads_only=True
    )
    for _ in range(30):
        await link.fetch("SELECT 1")
        server.sql(KILL)  # before, during or after the next statement
        (row,) = await link.fetch("SELECT 1 AS n")
        assert row["n"] == 1
    await link.close()


async def test_a_write_that_was_sent_is_not_repeated(server: TcpPostgres) -> None:
    context = make_context("x", database_url=server.dsn())
    link = ReconnectingConnection(context, component="x", connect_timeout=30, query_timeout=30)
    server.sql("CREATE TABLE writes (id integer)")
    await link.fetch("SELECT 1")
    kill = "SELECT pg_terminate_backend(pg_backend_pid()) FROM writes RIGHT JOIN (VALUES (1)) v ON true"
    with pytest.raises(postgres.FAULTS):
        await link.fetch(f"WITH w AS (INSERT INTO writes VALUES (1)) {kill}")
    assert server.sql("SELECT count(*) FROM writes") == "0"
    await link.close()


async def test_a_notice_does_not_cost_the_connection(server: TcpPostgres) -> None:
    context = make_context("x", database_url=server.dsn())
    pool = Pool(context, component="x", size=1)
    await pool.start()
    heard: list[object] = []

    def listener(*news: object) -> None:
        heard.append(news)

    async with pool.acquire() as connection:
        before = await connection.fetchval("SELECT pg_backend_pid()")
        await connection.add_listener("news", listener)
        server.sql("NOTIFY news")
        lost = await connection.is_lost()  # type: ignore[attr-defined]  # of our own connections
        assert not lost
        assert await connection.fetchval("SELECT pg_backend_pid()") == before
        await connection.remove_listener("news", listener)
    await pool.stop()
    assert heard


async def test_open_connections_serve_while_new_ones_are_refused(server: TcpPostgres) -> None:
    server.sql("CREATE ROLE few LOGIN PASSWORD 'a right password' CONNECTION LIMIT 1")
    pool = Pool(make_context("x", database_url=server.dsn(user="few")), component="x", size=5)
    await pool.start()

    async def work() -> None:
        async with pool.acquire(30) as connection:
            await connection.fetchval("SELECT pg_sleep(0.01)")

    await asyncio.gather(*(work() for _ in range(20)))
    await pool.stop()
