"""Stops requests in the middle of their transaction: they wait for a lock of the test."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from tests.support.operations import Operations
from tests.support.waiting import wait_until


class Transaction:
    """A transaction of the test, rolled back at the end unless it is committed."""

    def __init__(self, runner: asyncio.Runner, dsn: str) -> None:
        self._runner = runner
        self._connection = runner.run(asyncpg.connect(dsn))
        self._open = False

    def begin(self, statements: str) -> None:
        self._run("BEGIN")
        self._open = True
        self._run(statements)

    def commit(self) -> None:
        self._run("COMMIT")
        self._open = False

    def close(self) -> None:
        if self._open:
            self._run("ROLLBACK")
        self._runner.run(self._connection.close())

    def _run(self, statements: str) -> None:
        self._runner.run(self._connection.execute(statements))


@contextmanager
def held(api: Operations, statements: str) -> Iterator[Transaction]:
    """Hold the locks of these statements within the block."""
    with holding(api.server.dsn(database=api.database), statements) as transaction:
        yield transaction


@contextmanager
def holding(dsn: str, statements: str) -> Iterator[Transaction]:
    """Hold the locks of these statements in any database within the block."""
    with asyncio.Runner() as runner:
        transaction = Transaction(runner, dsn)
        try:
            transaction.begin(statements)
            yield transaction
        finally:
            transaction.close()


def blocked(api: Operations) -> int:
    """Return how many statements wait for a lock."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return int(api.sql(waiting))


def wait_for_blocked(api: Operations, number: int) -> None:
    """Wait until this many statements wait for a lock."""
    wait_until(lambda: blocked(api) == number, f"{number} statements wait for a lock")
