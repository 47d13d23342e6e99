"""Connections through a real PgBouncer, in each of its modes, and through a plain TCP proxy."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aliaport import postgres
from aliaport.postgres import (
    Leader,
    Migration,
    Pool,
    PoolerError,
    ReconnectingConnection,
    migrate,
    poolers,
)
from aliaport.postgres.arguments import database_url
from aliaport.testing import make_context
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import TcpPostgres
from tests.support.sql import run_sql

pytestmark = [pytest.mark.needs("pgbouncer"), pytest.mark.service]

Start = Callable[..., PgBouncer]
STEP = Migration(1, "table", "CREATE TABLE things (id integer)")
LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
SHARING = [
    {"pool_mode": "transaction"},
    {"pool_mode": "transaction", "server_round_robin": "1"},
    {"pool_mode": "transaction", "default_pool_size": "1", "query_wait_timeout": "5"},
    {"pool_mode": "transaction", "ignore_startup_parameters": "statement_timeout"},
    {"pool_mode": "statement"},
]
KEEPING = [
    {"pool_mode": "session"},
    {
        "pool_mode": "session",
        "ignore_startup_parameters": ",".join(
            (
                *postgres.server_settings("", 1),
                *("search_path", "options", "plan_cache_mode", "app.place", "no_such_thing"),
            )
        ),
    },
]


@pytest.fixture
def pgbouncer(database: str) -> Iterator[Start]:
    """Yield `pgbouncer(settings)`, which starts one in front of a fresh database."""
    started: list[PgBouncer] = []

    def start(**settings: str) -> PgBouncer:
        started.append(PgBouncer(database, settings))
        return started[-1]

    yield start
    for one in started:
        one.remove()


async def limits(connection: Any) -> list[str]:
    names = (
        *("statement_timeout", "tcp_keepalives_idle", "plan_cache_mode"),
        *("search_path", "work_mem", "jit"),
    )
    return [await connection.fetchval(f"SHOW {name}") for name in names]


@pytest.mark.parametrize("settings", KEEPING)
async def test_limits_hold_where_the_pooler_refuses_or_ignores_them(
    pgbouncer: Start, settings: dict[str, str]
) -> None:
    url = f"{pgbouncer(**settings).dsn()}?search_path=one&options=-c%20work_mem%3D5MB%20--jit%3Doff"
    context = make_context("x", database_url=url)
    extra = {
        "plan_cache_mode": "force_custom_plan",
        "app.place": "it's \\ me",
        "no_such_thing": "1",
    }
    pool = Pool(context, component="x", size=2, statement_timeout=7, settings=extra)
    await pool.start()
    for _ in range(2):  # a release resets the session
        async with pool.acquire() as one, pool.acquire() as two:
            for connection in (one, two):
                assert await limits(connection) == [
                    *("7s", "10", "force_custom_plan"),
                    *("one", "5MB", "off"),
                ]
                assert await connection.fetchval("SHOW app.place") == "it's \\ me"
                assert await connection.fetchval("SHOW application_name") == "aliaport-x"
    await pool.stop()


async def test_a_pool_of_sessions_carries_leaders_and_migrations(pgbouncer: Start) -> None:
    context = make_context("x", database_url=pgbouncer(pool_mode="session").dsn())
    first, second = (Leader(context, name="job", component="x") for _ in range(2))
    assert await asyncio.gather(*(migrate(context, "x", [STEP]) for _ in range(3))) in (
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
    )
    assert await first.holds()
    assert await first.holds()
    assert not await second.holds()
    await first.release()
    await second.release()


@pytest.mark.parametrize(
    "settings", [given for given in SHARING if given["pool_mode"] == "transaction"]
)
async def test_migrations_leave_no_lock_behind_where_sessions_are_shared(
    pgbouncer: Start, rows: Callable[[str], list[str]], settings: dict[str, str]
) -> None:
    url = f"{pgbouncer(**settings).dsn()}?connect_timeout=30"
    context = make_context("x", database_url=url)
    done = await asyncio.gather(*(migrate(context, "x", [STEP]) for _ in range(3)))
    assert sorted(done) == [0, 0, 1]
    assert rows(LOCKS) == ["0"]


async def test_a_pooler_that_shares_its_sessions_is_recognized_while_others_use_it(
    pgbouncer: Start,
) -> None:
    url = pgbouncer(pool_mode="transaction").dsn()
    context = make_context("x", database_url=url)

    async def use() -> None:
        connection = await postgres.connect(context, component="x")
        while True:
            await connection.execute("SELECT pg_sleep(0.002)")
            await asyncio.sleep(0.01)

    users = [asyncio.create_task(use()) for _ in range(3)]
    for _ in range(30):
        with pytest.raises(PoolerError):
            await postgres.connect(context, component="x", own_session=True)
    for user in users:
        user.cancel()
    outcomes = await asyncio.gather(*users, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {asyncio.CancelledError}


@pytest.mark.parametrize("settings", SHARING)
async def test_a_pooler_that_shares_its_sessions_is_recognized(
    pgbouncer: Start, rows: Callable[[str], list[str]], settings: dict[str, str]
) -> None:
    context = make_context("x", database_url=pgbouncer(**settings).dsn())
    leader = Leader(context, name="job", component="x")
    for _ in range(2):
        with pytest.raises(PoolerError, match=r"x needs a server session of its own.*pool_mode"):
            await leader.holds(timeout=10)
    assert rows(LOCKS) == ["0"]


@pytest.mark.parametrize("settings", SHARING)
async def test_statements_work_although_sessions_are_shared(
    pgbouncer: Start, server: TcpPostgres, database: str, settings: dict[str, str]
) -> None:
    pooler = pgbouncer(**settings)
    context = make_context("x", database_url=pooler.dsn())
    server.sql("CREATE TABLE things (id integer, names text[])", database.rpartition("/")[2])
    pool = Pool(context, component="x", size=5)
    link = ReconnectingConnection(context, component="x", connect_timeout=10, query_timeout=10)
    await pool.start()

    async def work(number: int) -> None:
        for turn in range(10):
            async with pool.acquire(30) as connection:
                insert = "INSERT INTO things VALUES ($1, $2)"
                if settings["pool_mode"] == "statement":
                    await connection.execute(insert, number, [f"{turn}"])
                else:
                    async with connection.transaction():
                        await connection.execute(insert, number, [f"{turn}"])
                count = "SELECT count(*) FROM things WHERE id = $1"
                assert await connection.fetchval(count, number) == turn + 1
            (row,) = await link.fetch("SELECT $1::int AS n", turn)
            assert row["n"] == turn

    await asyncio.gather(*(work(number) for number in range(8)))
    await pool.stop()
    await link.close()
    assert run_sql(pooler.dsn(), "SHOW statement_timeout") == "0", "other clients keep theirs"


async def test_no_two_lead_when_a_pooler_begins_to_share(pgbouncer: Start) -> None:
    pooler = pgbouncer(pool_mode="session")
    context = make_context("x", database_url=pooler.dsn())
    first, second, third = (Leader(context, name="job", component="x") for _ in range(3))

    async def leads(leader: Leader) -> bool:
        try:
            return await leader.holds(timeout=10)
        except (PoolerError, *postgres.FAULTS):
            return False

    assert await first.holds()
    assert not await second.holds()
    pooler.change(pool_mode="transaction")
    for _ in range(3):
        assert sum([await leads(leader) for leader in (first, second)]) < 2
    with pytest.raises(PoolerError):
        await third.holds(timeout=10)
    pooler.restart()
    for leader in (first, second):
        assert not await leads(leader)
        with pytest.raises(PoolerError):
            await leader.holds(timeout=10)
        assert not leader.leads


async def test_prepared_statements_recover_from_a_pooler_that_begins_to_share(
    pgbouncer: Start,
) -> None:
    pooler = pgbouncer(pool_mode="session")
    context = make_context("x", database_url=pooler.dsn())
    pool = Pool(context, component="x", size=3)
    await pool.start()
    pooler.change(pool_mode="transaction")
    pooler.restart()

    async def works() -> bool:
        try:
            async with pool.acquire() as one, pool.acquire() as two:
                for connection in (one, two, one, two):
                    await connection.fetchval("SELECT $1::int", 1)
        except postgres.FAULTS:
            return False
        return True

    outcomes = [await works() for _ in range(12)]
    assert all(outcomes[-4:]), outcomes
    server = poolers.known(database_url(context))
    assert server is not None
    await pool.stop()
