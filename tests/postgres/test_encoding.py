"""Databases that cannot store every character are refused, wherever they are used."""

import pytest

from aliaport.isolation.failures import describe
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
        with pytest.raises(UnsupportedDatabaseError, match=message) as raised:
            await refused()
        assert describe(raised.value, "x").message.count("has the encoding") == 1
    assert server.sql("SELECT to_regclass('never') IS NULL", name) == "t"
