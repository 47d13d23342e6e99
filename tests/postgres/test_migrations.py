"""Migrations with the rights of a runtime role, under locks of others, and within their time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import pytest

from aliaport.contract.start_progress import START_PROGRESS, StartProgress
from aliaport.postgres import Migration, MigrationError, migrate
from aliaport.postgres.migrations import _LOCK
from aliaport.testing import make_context
from tests.support.postgres import PASSWORD, TcpPostgres
from tests.support.waiting import eventually

ONE = Migration(1, "table", "CREATE TABLE things (id integer PRIMARY KEY)")
TWO = Migration(2, "column", "ALTER TABLE things ADD name text")


class Tables:
    """A fresh database with a role that owns nothing."""

    def __init__(self, server: TcpPostgres) -> None:
        self.server = server
        self.name = server.new_database("tables")
        self.url = server.dsn(database=self.name)
        self.role = f"runtime_{self.name}"
        server.sql(f"CREATE ROLE {self.role} LOGIN PASSWORD '{PASSWORD}'")
        self.runtime_url = server.dsn(database=self.name, user=self.role)
        self.progress = StartProgress(60)

    async def migrate(self, steps: Sequence[Migration] = (ONE,), *, url: str = "") -> int:
        START_PROGRESS.set(self.progress)
        return await migrate(make_context("x", database_url=url or self.url), "x", steps)

    def sql(self, statement: str) -> str:
        return self.server.sql(statement, self.name)

    @asynccontextmanager
    async def held(self, statement: str) -> AsyncIterator[None]:
        """Execute a statement that takes a lock; keep its transaction open."""
        connection = await asyncpg.connect(self.url, server_settings={"application_name": "holder"})
        async with connection.transaction():
            await connection.execute(statement)
            yield
        await connection.close()

    async def wait_for_activity(self, text: str) -> None:
        async def shown() -> bool:
            return text in self.progress.activity

        await eventually(shown, f"the progress of the start says: {text}")


@pytest.fixture
def tables(server: TcpPostgres) -> Tables:
    return Tables(server)


MIGRATING = f"SELECT pg_advisory_xact_lock({_LOCK})"


async def test_without_missing_steps_a_role_needs_no_right_but_to_read(tables: Tables) -> None:
    assert await tables.migrate() == 1
    with pytest.raises(MigrationError, match=r"may not read .* grant it SELECT"):
        await tables.migrate(url=tables.runtime_url)
    tables.sql(f"GRANT SELECT ON aliaport_migrations TO {tables.role}")
    async with tables.held(MIGRATING):
        assert await tables.migrate(url=tables.runtime_url) == 0, "it does not wait either"
    with pytest.raises(MigrationError, match=r"2 \(column\) of x is missing.*`aliaport migrate`"):
        await tables.migrate([ONE, TWO], url=tables.runtime_url)


async def test_the_error_without_the_right_to_create_tables_names_the_command(
    tables: Tables,
) -> None:
    with pytest.raises(MigrationError, match=r"1 \(table\) of x is missing.*`aliaport migrate`"):
        await tables.migrate(url=tables.runtime_url)
    assert tables.sql("SELECT to_regclass('aliaport_migrations') IS NULL") == "t"


async def test_tables_of_a_newer_program_are_refused_with_both_versions(tables: Tables) -> None:
    await tables.migrate([ONE, TWO])
    message = r"version 2 \(column\), this program knows version 1; install the newer version"
    with pytest.raises(MigrationError, match=message):
        await tables.migrate([ONE])


async def test_it_waits_for_another_session_that_migrates_and_names_it(tables: Tables) -> None:
    async with tables.held(MIGRATING):
        work = asyncio.create_task(tables.migrate())
        await tables.wait_for_activity("waits for another session that migrates: process")
        assert tables.progress.activity.endswith(" (holder)")
    assert await work == 1
    assert tables.progress.activity == ""


async def test_it_gives_up_in_time(tables: Tables) -> None:
    tables.progress = StartProgress(0.2)
    async with tables.held(MIGRATING):
        with pytest.raises(MigrationError, match=r"gave up after 0.2 s; end that session"):
            await tables.migrate()
    tables.progress = StartProgress(0.2)
    slow = Migration(1, "slow", "SELECT pg_sleep(60)")
    # The server cancels it, or we do.
    with pytest.raises(MigrationError, match=r"1 \(slow\) of x (did not end; gave|failed and was)"):
        await tables.migrate([slow])
    assert await tables.migrate() == 1, "nothing is left of it"


async def test_the_users_of_a_table_do_not_queue_behind_a_step(tables: Tables) -> None:
    await tables.migrate()
    async with tables.held("LOCK TABLE things IN ACCESS SHARE MODE"):
        work = asyncio.create_task(tables.migrate([ONE, TWO]))
        await tables.wait_for_activity("2 (column) of x waits for tables that other sessions use")
        async with tables.held("SET LOCAL statement_timeout = '30s'; SELECT 1 FROM things"):
            assert not work.done()
    assert await work == 1
