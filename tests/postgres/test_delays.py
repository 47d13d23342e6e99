"""Statements that take too long: what they waited for, and for whom."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from aliaport.plugin import Context
from aliaport.postgres import FAULTS, Fault, Pool, QueryTimeout, ReconnectingConnection, explain
from aliaport.postgres.delays import statement_name
from aliaport.testing import make_context
from tests.support.postgres import TcpPostgres

TIMEOUT = 3.0
"""Seconds: long enough for two look-ups on a busy machine."""

LOCKED = "LOCK TABLE shelves IN ACCESS EXCLUSIVE MODE"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first look-up take almost until the timeout: the machine may be busy."""
    monkeypatch.setattr("aliaport.postgres.watch.LOOK_TIMEOUT", 1.9)


@pytest.fixture(scope="module")
def server(own_server: TcpPostgres) -> TcpPostgres:
    """Return a server that only this file uses, since its tests freeze and configure it."""
    own_server.sql("ALTER SYSTEM SET log_connections = on")
    own_server.sql("SELECT pg_reload_conf()")
    own_server.sql("CREATE TABLE shelves (id integer PRIMARY KEY, note text)")
    own_server.sql("INSERT INTO shelves VALUES (1, 'secret-note')")
    return own_server


@pytest.fixture
def context(server: TcpPostgres) -> Context:
    return make_context("x", database_url=server.dsn())


@asynccontextmanager
async def session(
    server: TcpPostgres, name: str, *statements: str
) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(
        server.dsn(), server_settings={"application_name": name}, timeout=60
    )
    try:
        for statement in ("BEGIN", *statements):
            await connection.execute(statement)
        yield connection
    finally:
        connection.terminate()


async def fault_of(context: Context, statement: str, *arguments: object) -> Fault:
    """Return the fault of a statement in a pool whose statements time out."""
    pool = Pool(context, component="slow", size=1, statement_timeout=TIMEOUT)
    await pool.start()
    try:
        async with pool.acquire(60) as connection:
            await connection.fetch(statement, *arguments)
    except FAULTS as error:
        return explain(error, context)
    finally:
        await pool.stop()
    raise AssertionError("the statement did not time out")


async def test_the_holder_of_a_lock_is_named(server: TcpPostgres, context: Context) -> None:
    async with session(server, "nightly-report", LOCKED) as holder:
        fault = await fault_of(context, "SELECT note FROM shelves WHERE id = $1", 4711)
        pid = holder.get_server_pid()
    assert fault.code == "statement_timeout"
    assert fault.fields["statement"] == "SELECT shelves"
    assert (fault.fields["waited_for"], fault.fields["locked_table"]) == ("lock", "shelves")
    assert f'process {pid} ("nightly-report", idle in transaction' in fault.fields["lock_holders"]
    assert f"pg_terminate_backend({pid})" in fault.text
    assert "4711" not in str(fault)


async def test_the_holder_is_named_for_a_session_with_another_role(server: TcpPostgres) -> None:
    server.sql("CREATE ROLE shelver; GRANT SELECT ON shelves TO shelver")
    context = make_context("x", database_url=f"{server.dsn()}?role=shelver")
    async with session(server, "nightly-report", LOCKED) as holder:
        fault = await fault_of(context, "SELECT FROM shelves")
        assert f"process {holder.get_server_pid()}" in fault.fields["lock_holders"]


async def test_a_row_that_another_transaction_has_changed(
    server: TcpPostgres, context: Context
) -> None:
    change = "UPDATE shelves SET note = note WHERE id = 1"
    async with session(server, "editor", change) as holder:
        fault = await fault_of(context, change)
        assert f"process {holder.get_server_pid()}" in fault.fields["lock_holders"]
    assert fault.fields["statement"] == "UPDATE shelves"


async def test_the_session_that_blocks_the_queue_comes_first(
    server: TcpPostgres, context: Context
) -> None:
    """A reader that forgot its transaction blocks an ALTER TABLE, which blocks everybody."""
    read = "SELECT FROM shelves"
    async with session(server, "forgotten", read) as root, session(server, "upgrade") as between:
        waiting = asyncio.ensure_future(between.execute(LOCKED))
        try:
            fault = await fault_of(context, read)
        finally:
            waiting.cancel()
        first, second = fault.delay.holders if fault.delay else ()
        assert (first.pid, first.waits) == (root.get_server_pid(), False)
        assert (second.pid, second.waits) == (between.get_server_pid(), True)


async def test_a_slow_statement_waits_for_no_lock(context: Context) -> None:
    fault = await fault_of(context, "SELECT pg_sleep(60)")
    assert (fault.code, fault.fields["waited_for"]) == ("statement_timeout", "none")
    assert "it waited for no lock" in fault.text


async def test_a_lock_timeout_of_the_url(server: TcpPostgres) -> None:
    context = make_context("x", database_url=f"{server.dsn()}?lock_timeout=100")
    async with session(server, "short", LOCKED):
        fault = await fault_of(context, "SELECT FROM shelves")
    assert fault.code == "statement_timeout"
    assert "longer than lock_timeout" in fault.text


async def test_a_full_pool_is_another_fault(context: Context) -> None:
    pool = Pool(context, component="full", size=1)
    await pool.start()
    try:
        async with pool.acquire():
            with pytest.raises(TimeoutError) as raised:
                async with pool.acquire(0.1):
                    raise AssertionError("a second connection")
    finally:
        await pool.stop()
    fault = explain(raised.value, context)
    assert fault.code == "pool_exhausted"
    assert "all 1 connections of full were in use for 0.1 s" in fault.text


async def test_a_frozen_server_is_another_fault(server: TcpPostgres, context: Context) -> None:
    pool = Pool(context, component="frozen", size=1, statement_timeout=1)
    await pool.start()
    try:
        async with pool.acquire() as connection:
            server.freeze()
            with pytest.raises(TimeoutError) as raised:
                await connection.fetch("SELECT FROM shelves")
    finally:
        server.thaw()
        await pool.stop()
    fault = explain(raised.value, context)
    assert (fault.code, fault.fields["waited_for"]) == ("query_timeout", "unknown")
    assert "the server did not respond" in fault.text


async def test_a_probe_learns_the_holder_too(server: TcpPostgres, context: Context) -> None:
    link = ReconnectingConnection(context, component="p", connect_timeout=30, query_timeout=TIMEOUT)
    await link.fetch("SELECT 1")
    async with session(server, "holder", LOCKED):
        with pytest.raises(QueryTimeout) as raised:
            await link.fetch("SELECT FROM shelves")
    await link.close()
    assert '("holder"' in explain(raised.value, context).fields["lock_holders"]


async def test_many_waiting_statements_share_one_look_up_a_second(
    server: TcpPostgres, context: Context
) -> None:
    pool = Pool(context, component="many", size=10, statement_timeout=TIMEOUT)
    await pool.start()
    began = time.monotonic()

    async def read() -> Fault:
        try:
            async with pool.acquire(60) as connection:
                await connection.fetch("SELECT FROM shelves")
        except FAULTS as error:
            return explain(error, context)
        raise AssertionError("not blocked")

    async with session(server, "holder", LOCKED):
        faults = await asyncio.gather(*(read() for _ in range(10)))
    await pool.stop()
    assert {fault.fields["waited_for"] for fault in faults} == {"lock"}
    name = "connection authorized: .*application_name=aliaport-many"
    opened = len(re.findall(name, server.log("service")))
    assert 10 < opened <= 10 + 1 + time.monotonic() - began


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("SELECT a.x FROM a JOIN b USING (id) WHERE s = 'FROM hidden'", "SELECT a b"),
        ("INSERT INTO a (x) VALUES ($1)", "INSERT a"),
        ("\n  UPDATE a SET x = 1 WHERE y", "UPDATE a"),
        ("SELECT id FROM a FOR UPDATE SKIP LOCKED", "SELECT a"),
        ("WITH new AS (SELECT 1) DELETE FROM a", "WITH a"),
        ("SELECT x FROM unnest($1::text[]) AS wanted(x)", "SELECT"),
        ("LOCK TABLE a", "LOCK a"),
        ("COMMIT;", "COMMIT"),
    ],
)
def test_the_name_of_a_statement_has_no_values(query: str, name: str) -> None:
    assert statement_name(query) == name
