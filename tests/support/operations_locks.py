"""Holds requests in the middle of their transaction: a lock of the test's lets them wait."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from tests.support.operations import Operations
from tests.support.postgres import until


@contextmanager
def held(api: Operations, statement: str) -> Iterator[None]:
    """Hold the locks of a statement within the block."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(api.server.dsn(database=api.database)))
        transaction = connection.transaction()
        runner.run(transaction.start())
        runner.run(connection.execute(statement))
        try:
            yield
        finally:
            runner.run(transaction.rollback())
            runner.run(connection.close())


def wait_for_blocked(api: Operations, number: int) -> None:
    waiting = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    until(lambda: api.sql(waiting) == str(number), f"{number} statements wait for a lock")
