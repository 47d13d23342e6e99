"""Forward-only migrations under an advisory lock."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from aliaport.errors import AliaportError
from aliaport.plugin import Context
from aliaport.postgres.connection import Connection, close, connect

LOCK_TIMEOUT = 30.0
"""Seconds to wait for another replica that migrates, and for each statement."""

_LOCK = int.from_bytes(hashlib.sha256(b"aliaport migrations").digest()[:8], signed=True)
_TABLE = """
CREATE TABLE IF NOT EXISTS aliaport_migrations (
    component text NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (component, number)
)"""


class MigrationError(AliaportError):
    """The database does not match the migrations of the program."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: a number from 1 without gaps, a short name, and SQL that never changes."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """The hash that reveals a later change of the SQL."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


async def migrate(context: Context, component: str, migrations: Sequence[Migration]) -> int:
    """Apply missing steps, each in its own transaction; return how many were applied.

    Any number of replicas may call it at once. Raises MigrationError if an applied migration was
    changed, a number is missing, or the database is newer than the program.
    """
    if [step.number for step in migrations] != list(range(1, len(migrations) + 1)):
        raise MigrationError(f"the migrations of {component} must be numbered 1, 2, 3 …")
    connection = await connect(context, component=component, statement_timeout=LOCK_TIMEOUT)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await connection.execute(_TABLE)
        rows = await connection.fetch(
            "SELECT number, checksum FROM aliaport_migrations WHERE component = $1", component
        )
        applied = {row["number"]: row["checksum"] for row in rows}
        _check(component, migrations, applied)
        missing = [step for step in migrations if step.number not in applied]
        for step in missing:
            await _apply(connection, component, step)
        return len(missing)
    finally:
        await close(connection)


def _check(component: str, migrations: Sequence[Migration], applied: dict[int, str]) -> None:
    for step in migrations:
        if step.number in applied and applied[step.number] != step.checksum:
            raise MigrationError(
                f"migration {step.number} ({step.name}) of {component} was applied and then "
                "changed; restore it and add a new migration"
            )
    newest = max(applied, default=0)
    if newest > len(migrations):
        raise MigrationError(
            f"the database has migration {newest} of {component}, but the program only "
            f"{len(migrations)}; install the newer version"
        )


async def _apply(connection: Connection, component: str, step: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(step.sql)
            await connection.execute(
                "INSERT INTO aliaport_migrations (component, number, name, checksum) "
                "VALUES ($1, $2, $3, $4)",
                component,
                step.number,
                step.name,
                step.checksum,
            )
    except asyncpg.PostgresError as error:
        raise MigrationError(
            f"migration {step.number} ({step.name}) of {component} failed and was rolled back: "
            f"{error}"
        ) from None
