"""Statements on a real PostgreSQL without a process each, printed as psql prints them."""

import asyncio
import threading
from functools import cache
from typing import Any

import asyncpg

SECONDS = 60.0
"""Timeout of connecting, and of each statement."""


def run_sql(dsn: str, statement: str) -> str:
    """Run one or several statements; return the rows of a single one as `psql -At` prints them.

    Several at once are one transaction, as with `psql -c`. Each call has its own connection,
    so none is open when a test stops the server or drops the database. Works in any thread,
    even beside a running event loop. Raises asyncpg.PostgresError.
    """
    return asyncio.run_coroutine_threadsafe(_run(dsn, statement), _loop()).result()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="sql", daemon=True).start()
    return loop


async def _run(dsn: str, statement: str) -> str:
    connection = await asyncpg.connect(dsn, timeout=SECONDS, command_timeout=SECONDS)
    try:
        rows = await connection.fetch(statement)
    except asyncpg.PostgresSyntaxError as error:
        if "multiple commands" not in str(error):
            raise
        await connection.execute(statement)
        rows = []
    finally:
        await connection.close()
    return "\n".join("|".join(map(_text, row)) for row in rows)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value)
