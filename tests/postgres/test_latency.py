"""Connections over a network with long round trips, and over one that drops packets."""

from collections.abc import Callable, Iterator

import asyncpg
import pytest

from aliaport import postgres
from aliaport.postgres import ConnectPending, Pool, ReconnectingConnection
from aliaport.testing import make_context
from tests.support.postgres import TcpPostgres
from tests.support.slow_tcp import SlowTcp
from tests.support.waiting import eventually

Slow = Callable[[float], SlowTcp]


@pytest.fixture
def slow(server: TcpPostgres) -> Iterator[Slow]:
    """Yield `slow(round_trip)`, which starts a proxy in front of the server."""
    started: list[SlowTcp] = []

    def start(round_trip: float) -> SlowTcp:
        started.append(SlowTcp(server.port, round_trip))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def dsn(server: TcpPostgres, proxy: SlowTcp) -> str:
    return server.dsn().replace(f":{server.port}/", f":{proxy.port}/")


async def test_a_slow_connection_is_opened_in_the_background_and_replaced_unnoticed(
    server: TcpPostgres, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context("x", database_url=dsn(server, slow(0.3)))
    link = ReconnectingConnection(context, component="x", connect_timeout=0.5, query_timeout=20)
    with pytest.raises(ConnectPending, match=r"no connection after 0\.5 s"):
        await link.fetch("SELECT 1")

    async def serves() -> bool:
        try:
            return bool(await link.fetch("SELECT 1"))
        except ConnectPending:
            return False

    await eventually(serves, "the connection is open")
    for name in ("REPLACE_AFTER", "RETRY_AFTER"):
        monkeypatch.setattr(f"aliaport.postgres.reconnecting.{name}", -1.0)
    pids: set[int] = set()
    while len(pids) < 3:
        (row,) = await link.fetch("SELECT pg_backend_pid() AS pid")
        pids.add(row["pid"])
    await link.close()


async def test_a_connection_that_is_opened_before_is_ready_for_the_first_statement(
    server: TcpPostgres, slow: Slow
) -> None:
    context = make_context("x", database_url=dsn(server, slow(0.1)))
    link = ReconnectingConnection(context, component="x", connect_timeout=0.05, query_timeout=20)
    await link.open()
    (before,) = await link.fetch("SELECT pg_backend_pid() AS pid")
    await link.open()
    (after,) = await link.fetch("SELECT pg_backend_pid() AS pid")
    assert before == after, "one that is open is kept"
    await link.close()


async def test_opening_before_reports_dropped_packets_and_wrong_passwords(
    server: TcpPostgres, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aliaport.postgres.reconnecting.ATTEMPT_TIMEOUT", 0.5)
    proxy = slow(0.0)
    proxy.drops = True
    context = make_context("x", database_url=dsn(server, proxy))
    link = ReconnectingConnection(context, component="x", connect_timeout=0.1, query_timeout=20)
    with pytest.raises(TimeoutError, match=r"no connection within 0\.5 s") as caught:
        await link.open()
    assert not isinstance(caught.value, ConnectPending)
    await link.close()
    context = make_context("x", database_url=server.dsn(password="wrong"))
    link = ReconnectingConnection(context, component="x", connect_timeout=20, query_timeout=20)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await link.open()
    await link.close()


async def test_dropped_packets_differ_from_latency(
    server: TcpPostgres, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aliaport.postgres.reconnecting.ATTEMPT_TIMEOUT", 0.5)
    proxy = slow(0.0)
    proxy.drops = True
    context = make_context("x", database_url=dsn(server, proxy))
    link = ReconnectingConnection(context, component="x", connect_timeout=0.1, query_timeout=20)
    with pytest.raises(ConnectPending):
        await link.fetch("SELECT 1")

    async def fails_for_good() -> bool:
        with pytest.raises(TimeoutError) as caught:
            await link.fetch("SELECT 1")
        return not isinstance(caught.value, ConnectPending) and "within 0.5 s" in str(caught.value)

    await eventually(fails_for_good, "the whole attempt has failed")
    proxy.drops = False

    async def serves() -> bool:
        try:
            return bool(await link.fetch("SELECT 1"))
        except TimeoutError:
            return False

    await eventually(serves, "the connection is open")
    await link.close()


async def test_a_pool_grows_although_opening_takes_longer_than_its_users_wait(
    server: TcpPostgres, slow: Slow
) -> None:
    context = make_context("x", database_url=dsn(server, slow(0.1)))
    pool = Pool(context, component="grown", size=3)
    await pool.start()

    async def all_at_once() -> bool:
        try:
            async with pool.acquire(0.2), pool.acquire(0.2), pool.acquire(0.2):
                return True
        except postgres.FAULTS:
            return False

    await eventually(all_at_once, "three connections are open")
    await pool.stop()
