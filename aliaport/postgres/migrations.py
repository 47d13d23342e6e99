"""Forward-only migrations, each in a transaction that holds an advisory lock."""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from aliaport.contract.start_progress import START_PROGRESS, StartProgress
from aliaport.errors import AliaportError
from aliaport.plugin import Context
from aliaport.postgres.connection import STATEMENT_TIMEOUT, Connection, close, connect

MIGRATION_TIMEOUT = 300.0
"""Seconds for all migrations of a command; those of a start have a setting."""

TABLE_LOCK_TIMEOUT = "500ms"
"""How long a step waits for the lock of a table; then it is rolled back and tried again.

Everybody who uses the table queues behind a step that waits, so it must not wait for long.
"""

PAUSE = 0.5
"""Seconds before the next attempt."""

_LOCK = int.from_bytes(hashlib.sha256(b"aliaport migrations").digest()[:8], signed=True)
_EXISTS = "SELECT to_regclass('aliaport_migrations') IS NOT NULL"
_TABLE = """
CREATE TABLE IF NOT EXISTS aliaport_migrations (
    component text NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (component, number)
)"""
_RECORDED = "SELECT number, name, checksum FROM aliaport_migrations WHERE component = $1"
_RECORD = """
INSERT INTO aliaport_migrations (component, number, name, checksum) VALUES ($1, $2, $3, $4)"""
_HOLDER = """
SELECT pid, application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND objsubid = 1
  AND (classid::bigint << 32) | objid::bigint = $1 LIMIT 1"""

_LIMITS = """
SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true)"""

_BUSY = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)
_NOT_ALLOWED = (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidSchemaNameError)


class MigrationError(AliaportError):
    """The database does not match the migrations of the program, or cannot be migrated."""


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

    Any number of replicas may call it at once. If nothing is missing, it needs no other right than
    to read the table of migrations, and waits for no lock. In the start of a plugin or application,
    `plugin_limits.migration_timeout` bounds it. Raises MigrationError if an applied migration was
    changed, a number is missing, the database is newer than the program, the role may not create
    tables, or the time is over.
    """
    if [step.number for step in migrations] != list(range(1, len(migrations) + 1)):
        raise MigrationError(f"the migrations of {component} must be numbered 1, 2, 3 …")
    progress = START_PROGRESS.get() or StartProgress(MIGRATION_TIMEOUT)
    connection = await connect(
        context, component=component, statement_timeout=progress.migration_timeout
    )
    try:
        migrator = _Migrator(context, connection, component, progress)
        await migrator.run(migrations)
        return migrator.applied
    finally:
        progress.activity = ""
        await close(connection)


class _Migrator:
    """Brings the tables of one component up to date; `applied` counts the steps applied here."""

    def __init__(
        self, context: Context, connection: Connection, component: str, progress: StartProgress
    ) -> None:
        self.applied = 0
        self._log = context.log
        self._connection = connection
        self._component = component
        self._progress = progress
        self._logged = ""

    async def run(self, migrations: Sequence[Migration]) -> None:
        """Apply the missing steps, or wait until another session has done it."""
        while missing := await self._missing(migrations):
            step = missing[0]
            try:
                obstacle = await self._try(step, migrations)
            except _BUSY:
                obstacle = f"{self._named(step)} waits for tables that other sessions use"
            except asyncpg.PostgresError as error:
                raise self._failed(step, error) from None
            if obstacle:
                await self._pause(obstacle)

    async def _missing(self, migrations: Sequence[Migration]) -> list[Migration]:
        try:
            applied = await self._recorded()
        except asyncpg.InsufficientPrivilegeError as error:
            raise MigrationError(
                f"the role may not read the table of migrations ({error}); grant it SELECT"
            ) from None
        _check(self._component, migrations, applied)
        return [step for step in migrations if step.number not in applied]

    async def _recorded(self) -> dict[int, asyncpg.Record]:
        """Return the rows of the applied steps by number; none before the table exists."""
        if not await self._value(_EXISTS):
            return {}
        rows = await self._connection.fetch(_RECORDED, self._component, timeout=STATEMENT_TIMEOUT)
        return {row["number"]: row for row in rows}

    async def _value(self, statement: str, *arguments: object) -> Any:
        return await self._connection.fetchval(statement, *arguments, timeout=STATEMENT_TIMEOUT)

    async def _try(self, step: Migration, migrations: Sequence[Migration]) -> str:
        """Apply the step unless another session migrates; return what is in the way, or ''."""
        began = time.monotonic()
        async with self._connection.transaction():
            # A lock of the transaction: behind a pooler, a lock of the session would stay behind.
            if not await self._value("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
                return await self._holder()
            if not await self._value(_EXISTS):
                # It may exist: this session may not know yet what the last holder has committed.
                await self._connection.execute(_TABLE)
            if step not in await self._missing(migrations):
                return ""
            self._progress.activity = f"applies {self._named(step)}"
            await self._execute(step)
            await self._connection.execute(
                _RECORD, self._component, step.number, step.name, step.checksum
            )
        self.applied += 1
        self._log.info(
            "migration.applied",
            component=self._component,
            number=step.number,
            name=step.name,
            seconds=round(time.monotonic() - began, 3),
        )
        return ""

    async def _execute(self, step: Migration) -> None:
        left = max(self._progress.seconds_left(), PAUSE)
        # Not for the session: a pooler may give the next transaction another one.
        await self._value(_LIMITS, TABLE_LOCK_TIMEOUT, str(round(left * 1000)))
        try:
            await self._connection.execute(step.sql, timeout=left)
        except TimeoutError:
            raise self._too_slow(f"{self._named(step)} did not end") from None

    async def _holder(self) -> str:
        row = await self._connection.fetchrow(_HOLDER, _LOCK, timeout=STATEMENT_TIMEOUT)
        holder = f": process {row['pid']} ({row['application_name']})" if row else ""
        return f"waits for another session that migrates{holder}"

    async def _pause(self, obstacle: str) -> None:
        self._progress.activity = obstacle
        if obstacle != self._logged:
            self._logged = obstacle
            self._log.warning("migration.waiting", component=self._component, reason=obstacle)
        if self._progress.seconds_left() <= PAUSE:
            raise self._too_slow(obstacle, "end that session with pg_terminate_backend, or ")
        await asyncio.sleep(PAUSE)

    def _named(self, step: Migration) -> str:
        return f"migration {step.number} ({step.name}) of {self._component}"

    def _too_slow(self, what: str, hint: str = "") -> MigrationError:
        limit = self._progress.migration_timeout
        return MigrationError(
            f"{what}; gave up after {limit:g} s; {hint}raise plugin_limits.migration_timeout"
        )

    def _failed(self, step: Migration, error: asyncpg.PostgresError) -> MigrationError:
        if isinstance(error, _NOT_ALLOWED):
            return MigrationError(
                f"{self._named(step)} is missing, and this role may not apply it ({error}); run "
                "`aliaport migrate` with the URL of the tables' owner, or grant it CREATE on the "
                "schema"
            )
        return MigrationError(f"{self._named(step)} failed and was rolled back: {error}")


def _check(
    component: str, migrations: Sequence[Migration], applied: dict[int, asyncpg.Record]
) -> None:
    for step in migrations:
        if step.number in applied and applied[step.number]["checksum"] != step.checksum:
            raise MigrationError(
                f"migration {step.number} ({step.name}) of {component} was applied and then "
                "changed; restore it and add a new migration"
            )
    newest = max(applied, default=0)
    if newest > len(migrations):
        raise MigrationError(
            f"the tables of {component} have version {newest} ({applied[newest]['name']}), this "
            f"program knows version {len(migrations)}; install the newer version of the program, "
            "or restore a backup of the older tables"
        )
