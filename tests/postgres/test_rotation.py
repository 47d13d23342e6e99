"""A password that changes while connections are in use: no statement fails."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from aliaport.host.context import HostContext
from aliaport.postgres import Leader, Pool, ReconnectingConnection, close, connect
from aliaport.settings.url_file import DatabaseUrlFile
from aliaport.testing import make_context
from tests.support.postgres import TcpPostgres
from tests.support.waiting import eventually

COUNT = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'aliaport-x' AND usename = "


@pytest.fixture(autouse=True)
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the file at each use, and replace old connections at once."""
    monkeypatch.setattr("aliaport.settings.url_file.REREAD_EVERY", -1.0)
    monkeypatch.setattr("aliaport.postgres.pool.RENEW_PAUSE", 0.05)
    for name in ("REPLACE_AFTER", "RETRY_AFTER"):
        monkeypatch.setattr(f"aliaport.postgres.reconnecting.{name}", -1.0)


def context_of(file: Path) -> HostContext:
    url = SecretStr(file.read_text().strip())
    return replace(make_context("x"), given_url=url, url_file=DatabaseUrlFile(file, url))


def write(file: Path, url: str) -> None:
    """Replace the file as a mounted secret is replaced."""
    (file.parent / "next").write_text(f"{url}\n")
    (file.parent / "next").replace(file)


class Traffic:
    """Statements through a pool and a single connection, as fast as they go."""

    def __init__(self, context: HostContext) -> None:
        self.done = 0
        self._pool = Pool(context, component="x", size=3)
        self._link = ReconnectingConnection(
            context, component="x", connect_timeout=30, query_timeout=30
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Traffic":
        await self._pool.start()
        self._tasks = [asyncio.create_task(self._run()) for _ in range(5)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        failures = await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._pool.stop()
        await self._link.close()
        assert {type(failure) for failure in failures} == {asyncio.CancelledError}

    async def more(self) -> None:
        """Wait until further statements have succeeded."""
        target = self.done + 50

        async def enough() -> bool:
            assert not any(task.done() for task in self._tasks), self._tasks
            return self.done > target

        await eventually(enough, "statements succeed")

    async def _run(self) -> None:
        while True:
            async with self._pool.acquire(30) as connection:
                await connection.fetchval("SELECT 1")
            await self._link.fetch("SELECT 1")
            self.done += 1


@pytest.fixture
def role(server: TcpPostgres) -> str:
    name = f"rotated_{os.urandom(4).hex()}"
    server.sql(f"CREATE ROLE {name} LOGIN PASSWORD 'first'")
    return name


Change = Callable[[], Any]


@pytest.mark.parametrize("order", ["file first", "server first"])
async def test_no_statement_fails_while_the_password_changes(
    server: TcpPostgres, role: str, tmp_path: Path, order: str
) -> None:
    file = tmp_path / "url"
    write(file, server.dsn(user=role, password="first"))
    changes: list[Change] = [
        lambda: write(file, server.dsn(user=role, password="second")),
        lambda: server.sql(f"ALTER ROLE {role} PASSWORD 'second'"),
    ]
    if order == "server first":
        changes.reverse()
    async with Traffic(context_of(file)) as traffic:
        await traffic.more()
        for change in changes:
            await asyncio.to_thread(change)
            await traffic.more()
    server.sql(f"DROP ROLE {role}")


async def test_pools_move_to_another_role(server: TcpPostgres, role: str, tmp_path: Path) -> None:
    file = tmp_path / "url"
    write(file, server.dsn(user=role, password="first"))
    server.sql(f"CREATE ROLE {role}_b LOGIN PASSWORD 'other'")
    async with Traffic(context_of(file)) as traffic:
        await traffic.more()
        write(file, server.dsn(user=f"{role}_b", password="other"))

        async def moved() -> bool:
            return await asyncio.to_thread(server.sql, f"{COUNT}'{role}'") == "0"

        await eventually(moved, "no connection of the former role is left")
        server.sql(f"DROP ROLE {role}")
        await traffic.more()


async def test_idle_connections_move_to_another_role(
    server: TcpPostgres, role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aliaport.postgres.reconnecting.REPLACE_AFTER", 3600)
    monkeypatch.setattr("aliaport.postgres.reconnecting.RETRY_AFTER", 0.05)
    server.sql(f"CREATE ROLE {role}_b LOGIN PASSWORD 'other'")
    file = tmp_path / "url"
    write(file, server.dsn(user=role, password="first"))
    context = context_of(file)
    pool = Pool(context, component="x", size=3)
    link = ReconnectingConnection(context, component="x", connect_timeout=30, query_timeout=30)
    leader = Leader(context, name=role, component="x")
    await pool.start()
    async with pool.acquire(30), pool.acquire(30) as used, pool.acquire(30):
        await link.fetch("SELECT 1")
        assert await leader.holds(30)
        write(file, server.dsn(user=f"{role}_b", password="other"))

        async def left(count: int) -> bool:
            return int(await asyncio.to_thread(server.sql, f"{COUNT}'{role}'")) == count

        await eventually(lambda: left(4), "the idle connection is replaced")
        assert await used.fetchval("SELECT 1") == 1, "those in use stay"
        assert await leader.holds(30)
        assert await leader.holds(30)
    await eventually(lambda: left(0), "no connection of the former role is left")
    await pool.stop()
    await link.close()
    await leader.release()
    server.sql(f"DROP ROLE {role}")


async def test_idle_connections_of_a_pool_are_replaced(
    server: TcpPostgres, role: str, tmp_path: Path
) -> None:
    server.sql(f"CREATE ROLE {role}_b LOGIN PASSWORD 'other'")
    file = tmp_path / "url"
    write(file, server.dsn(user=role, password="first"))
    pool = Pool(context_of(file), component="x", size=3)
    await pool.start()
    async with pool.acquire(30), pool.acquire(30):
        pass
    write(file, server.dsn(user=f"{role}_b", password="wrong"))

    async def refused() -> bool:
        return f'authentication failed for user "{role}_b"' in server.log("service")

    await eventually(refused, "the new URL is tried")
    assert await asyncio.to_thread(server.sql, f"{COUNT}'{role}'") == "2"
    write(file, server.dsn(user=f"{role}_b", password="other"))

    async def moved() -> bool:
        return await asyncio.to_thread(server.sql, f"{COUNT}'{role}'") == "0"

    await eventually(moved, "no connection of the former role is left")
    async with pool.acquire(30) as connection:
        assert await connection.fetchval("SELECT current_user::text") == f"{role}_b"
    await pool.stop()
    server.sql(f"DROP ROLE {role}")


async def test_a_file_that_is_wrong_for_a_while_changes_nothing(
    server: TcpPostgres, role: str, tmp_path: Path
) -> None:
    file = tmp_path / "url"
    write(file, server.dsn(user=role, password="first"))
    async with Traffic(context_of(file)) as traffic:
        for text in ("", "postgresql://half", server.dsn(user="nobody_here"), "mysql://a@b/c"):
            write(file, text)
            await traffic.more()
        file.unlink()
        await traffic.more()
        write(file, server.dsn(user=role, password="first"))
        await traffic.more()


async def test_single_connections_use_the_former_password_until_the_server_has_the_new_one(
    server: TcpPostgres, role: str, tmp_path: Path
) -> None:
    file = tmp_path / "url"
    write(file, server.dsn(user=role, password="first"))
    context = context_of(file)
    await close(await connect(context, component="x"))
    write(file, server.dsn(user=role, password="second"))
    await close(await connect(context, component="y"))
    with pytest.raises(asyncpg.InvalidPasswordError):  # what others had is not used
        await connect(context_of(file), component="x")
    server.sql(f"ALTER ROLE {role} PASSWORD 'second'")
    await close(await connect(context, component="x"))
    write(file, server.dsn(user=role, password="first", database=server.new_database("other")))
    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(context, component="x")


async def test_another_database_never_gets_or_replaces_the_former_credentials(
    server: TcpPostgres, role: str, tmp_path: Path
) -> None:
    file = tmp_path / "url"
    write(file, server.dsn(user=role, password="first"))
    link = ReconnectingConnection(
        context_of(file), component="x", connect_timeout=30, query_timeout=30
    )
    await link.fetch("SELECT 1")
    other = server.new_database("other")
    write(file, server.dsn(user=role, password="wrong", database=other))
    await link.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await link.fetch("SELECT 1")
    write(file, server.dsn(user=role, password="wrong"))
    (row,) = await link.fetch("SELECT current_database() AS name")
    assert row["name"] == "service"
    await link.close()


async def test_the_password_file_of_libpq_is_read_for_each_connection(
    server: TcpPostgres, role: str, tmp_path: Path
) -> None:
    passwords = tmp_path / "pgpass"
    passwords.touch(mode=0o600)
    passwords.write_text(f"127.0.0.1:{server.port}:*:{role}:first\n")
    url = server.dsn(user=role).replace(":a%20right%20password@", "@") + f"?passfile={passwords}"
    link = ReconnectingConnection(
        make_context("x", database_url=url), component="x", connect_timeout=30, query_timeout=30
    )
    await link.fetch("SELECT 1")
    server.sql(f"ALTER ROLE {role} PASSWORD 'second'")
    passwords.write_text(f"127.0.0.1:{server.port}:*:{role}:second\n")
    await link.close()
    await link.fetch("SELECT 1")
    await link.close()
