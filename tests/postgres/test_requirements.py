"""Servers that are too old, and databases that cannot store every character, are refused."""

import asyncpg
import pytest

from aliaport.postgres import (
    Migration,
    Pool,
    ReconnectingConnection,
    UnsupportedDatabaseError,
    connect,
    migrate,
)
from aliaport.testing import make_context
from tests.support.postgres import TcpPostgres
from tests.support.postgres_stand_in import old_postgres

STEP = Migration(1, "table", "CREATE TABLE never (id integer)")


@pytest.mark.parametrize("encoding", ["LATIN5", "LATIN1", "SQL_ASCII"])
async def test_a_database_with_another_encoding_is_refused(
    server: TcpPostgres, encoding: str
) -> None:
    name = server.new_database("encoded", encoding=encoding)
    context = make_context("x", database_url=server.dsn(database=name))
    probe = ReconnectingConnection(context, component="x", connect_timeout=9, query_timeout=9)
    message = f"has the encoding {encoding}.*create the database with encoding UTF8"
    for refused in (
        lambda: connect(context, component="x"),
        Pool(context, component="x").start,
        lambda: probe.fetch("SELECT 1"),
        lambda: migrate(context, "x", [STEP]),
    ):
        with pytest.raises(UnsupportedDatabaseError, match=message):
            await refused()
    assert server.sql("SELECT to_regclass('never') IS NULL", name) == "t"


async def test_a_server_that_is_too_old_is_refused() -> None:
    message = "too old; upgrade it to PostgreSQL 14 or later"
    with old_postgres(unknown="client_connection_check_interval") as url:
        context = make_context("x", database_url=url)
        for refused in (
            lambda: connect(context, component="x"),
            Pool(context, component="x").start,
        ):
            with pytest.raises(UnsupportedDatabaseError, match=message):
                await refused()
    with old_postgres(server_version="13.22", server_encoding="UTF8") as url:
        context = make_context("x", database_url=url)
        with pytest.raises(UnsupportedDatabaseError, match=rf"PostgreSQL 13 is {message}"):
            await connect(context, component="x")


async def test_a_pooler_that_reports_no_encoding_is_accepted() -> None:
    with old_postgres(server_version="16.4") as url:
        connection = await connect(make_context("x", database_url=url), component="x")
        connection.terminate()


async def test_the_refusal_of_another_setting_stays_what_it_is(server: TcpPostgres) -> None:
    context = make_context("x", database_url=server.dsn())
    with pytest.raises(asyncpg.UndefinedObjectError, match="nonsense"):
        await connect(context, component="x", settings={"nonsense": "1"})
