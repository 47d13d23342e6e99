"""Starts, ends and lost servers: connections, pools and leaders leave nothing behind."""

import asyncio
import time
from contextlib import suppress
from typing import Any

import asyncpg
import pytest

from aliaport import postgres
from aliaport.postgres import Leader, Pool, QueryTimeout, ReconnectingConnection
from aliaport.testing import make_context
from tests.support.postgres import TcpPostgres
from tests.support.waiting import eventually, wait_until


def sessions(server: TcpPostgres, component: str) -> int:
    found = server.sql(
        f"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'aliaport-{component}'"
    )
    return int(found)


async def test_a_pool_can_start_and_stop_repeatedly(server: TcpPostgres) -> None:
    pool = Pool(make_context("x", database_url=server.dsn()), component="often", size=2)
    await pool.stop()
    await pool.start()
    await pool.start()
    assert sessions(server, "often") == 1
    await pool.stop()
    await pool.stop()
    assert sessions(server, "often") == 0


async def test_a_pool_does_not_wait_for_a_frozen_server(
    server: TcpPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aliaport.postgres.opening.CONNECT_TIMEOUT", 0.3)
    pool = Pool(make_context("x", database_url=server.dsn()), component="frozen", size=2)
    server.freeze()
    try:
        with pytest.raises(TimeoutError):
            await pool.start()
    finally:
        server.thaw()
    with pytest.raises(RuntimeError, match="not started"):
        async with pool.acquire():
            pass
    await asyncio.to_thread(
        wait_until, lambda: sessions(server, "frozen") == 0, "no session is left"
    )


@pytest.mark.parametrize("what", ["pool", "connection"])
async def test_what_opens_although_its_caller_was_cancelled_is_closed(
    server: TcpPostgres, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr("aliaport.postgres.opening.CONNECT_TIMEOUT", 60.0)
    context = make_context("x", database_url=server.dsn())
    pool = Pool(context, component="cancelled", size=2)
    connection = postgres.connect(context, component="cancelled", timeout=60)
    others = asyncio.all_tasks()
    server.freeze()
    try:
        opening = asyncio.ensure_future(pool.start() if what == "pool" else connection)
        await asyncio.wait({opening}, timeout=0.3)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
    finally:
        server.thaw()
    connection.close()
    await pool.stop()
    while asyncio.all_tasks() - others:
        await asyncio.sleep(0.01)
    await asyncio.to_thread(
        wait_until, lambda: sessions(server, "cancelled") == 0, "no session is left"
    )


async def test_a_stop_that_is_cancelled_still_closes_the_pool(
    server: TcpPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aliaport.postgres.pool.CLOSE_TIMEOUT", 60.0)
    pool = Pool(make_context("x", database_url=server.dsn()), component="halted", size=2)
    await pool.start()
    others = asyncio.all_tasks()
    async with pool.acquire():  # for which the pool waits
        stopping = asyncio.ensure_future(pool.stop())
        await asyncio.wait({stopping}, timeout=0.1)
        stopping.cancel()
        await asyncio.wait({stopping})
        await asyncio.to_thread(
            wait_until, lambda: sessions(server, "halted") == 0, "no session is left"
        )
    assert asyncio.all_tasks() == others


@pytest.mark.parametrize("given_up", ["by its timeout", "by its caller"])
async def test_a_stuck_connection_delays_nobody(
    server: TcpPostgres, monkeypatch: pytest.MonkeyPatch, given_up: str
) -> None:
    monkeypatch.setattr("aliaport.postgres.pool.RELEASE_TIMEOUT", 100.0)
    pool = Pool(
        make_context("x", database_url=server.dsn()),
        component="stuck",
        size=1,
        statement_timeout=100,
    )
    await pool.start()

    async def work() -> None:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT 1")
            server.freeze()
            if given_up == "by its timeout":
                await connection.execute("SELECT 1", timeout=0.2)
            async with asyncio.timeout(0.2):
                await connection.execute("SELECT 1")

    began = time.monotonic()
    try:
        with pytest.raises(postgres.FAULTS):
            await work()
        assert time.monotonic() - began < 50, "neither the rollback nor the release waited"
    finally:
        server.thaw()
    async with pool.acquire(30) as connection:
        assert await connection.fetchval("SELECT 1") == 1, "the only connection was replaced"
    await pool.stop()


async def test_a_server_that_freezes_before_the_release_delays_nobody(server: TcpPostgres) -> None:
    context = make_context("x", database_url=server.dsn())
    pool = Pool(context, component="reset", size=1, statement_timeout=100)
    await pool.start()
    began = time.monotonic()
    try:
        async with pool.acquire() as connection:
            await connection.execute("SELECT 1")
            server.freeze()
        assert time.monotonic() - began < 50
    finally:
        server.thaw()
    await pool.stop()


async def test_a_cancelled_statement_of_a_healthy_server_keeps_its_connection(
    server: TcpPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aliaport.postgres.session.CANCEL_TIMEOUT", 60.0)
    context = make_context("x", database_url=server.dsn())
    pool = Pool(context, component="kept", size=1, statement_timeout=100)
    await pool.start()
    async with pool.acquire(30) as connection:
        before = await connection.fetchval("SELECT pg_backend_pid()")
        with pytest.raises(TimeoutError):
            await connection.execute("SELECT pg_sleep(3600)", timeout=0.1)
        assert await connection.fetchval("SELECT pg_backend_pid()") == before
    await pool.stop()


async def test_a_connection_that_opens_too_late_is_closed(server: TcpPostgres) -> None:
    context = make_context("x", database_url=server.dsn())
    server.freeze()
    try:
        with pytest.raises(TimeoutError):
            await postgres.connect(context, component="late", timeout=0.3)
    finally:
        server.thaw()
    await asyncio.to_thread(wait_until, lambda: sessions(server, "late") == 0, "no session is left")


async def test_a_connection_that_opens_despite_its_cancellation_is_closed(
    server: TcpPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = asyncpg.connect

    async def insistent(*arguments: Any, **options: Any) -> Any:
        work = asyncio.ensure_future(connect(*arguments, **options | {"timeout": 60}))
        while not work.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({work})
        return work.result()

    monkeypatch.setattr("asyncpg.connect", insistent)
    context = make_context("x", database_url=server.dsn())
    server.freeze()
    try:
        with pytest.raises(TimeoutError):
            await postgres.connect(context, component="insistent", timeout=0.3)
    finally:
        server.thaw()
    await asyncio.to_thread(
        wait_until, lambda: sessions(server, "insistent") == 0, "no session is left"
    )


async def test_an_old_connection_is_replaced(
    server: TcpPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context("x", database_url=server.dsn())
    link = ReconnectingConnection(context, component="old", connect_timeout=30, query_timeout=30)
    await link.close()
    pid = "SELECT pg_backend_pid() AS pid"
    first = (await link.fetch(pid))[0]["pid"]
    assert (await link.fetch(pid))[0]["pid"] == first
    for name in ("REPLACE_AFTER", "RETRY_AFTER"):
        monkeypatch.setattr(f"aliaport.postgres.reconnecting.{name}", -1.0)

    async def replaced() -> bool:
        return bool((await link.fetch(pid))[0]["pid"] != first)

    await eventually(replaced, "another connection is used")
    await link.close()
    await asyncio.to_thread(wait_until, lambda: sessions(server, "old") == 0, "no session is left")


async def test_a_connection_closed_during_a_query_can_be_used_again(server: TcpPostgres) -> None:
    context = make_context("x", database_url=server.dsn())
    link = ReconnectingConnection(context, component="shut", connect_timeout=30, query_timeout=30)
    await link.fetch("SELECT 1")
    query = asyncio.create_task(link.fetch("SELECT pg_sleep(3600)"))
    active = "application_name = 'aliaport-shut' AND query LIKE '%pg_sleep%' AND state = 'active'"
    count = f"SELECT count(*) FROM pg_stat_activity WHERE {active}"
    await asyncio.to_thread(wait_until, lambda: server.sql(count) == "1", "the statement runs")
    await link.close()
    with pytest.raises((QueryTimeout, *postgres.FAULTS)):
        await query
    assert (await link.fetch("SELECT 1 AS n"))[0]["n"] == 1
    await link.close()


async def test_a_candidate_that_never_led_releases_nothing(server: TcpPostgres) -> None:
    leader = Leader(make_context("x", database_url=server.dsn()), name="job", component="x")
    await leader.release()
    assert not leader.leads
