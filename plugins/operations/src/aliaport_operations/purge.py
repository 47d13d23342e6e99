"""Removes expired personal data, and expired sessions, sign-in failures and idempotency keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from aliaport.plugin import Context
from aliaport.postgres import Connection, close, connect
from aliaport_operations.config import OperationsConfig
from aliaport_operations.families import PURGED
from aliaport_operations.schema import COMPONENT

BATCH = 1_000
"""Rows per transaction; small, so that no request waits long for a lock."""

SESSIONS_KEPT = timedelta(days=30)
FAILURES_KEPT = timedelta(days=1)
"""How long they are kept after they end. A failed sign-in counts for a day at most."""

_GATE_LOGS = """
UPDATE aliaport_operations_gate_logs SET plate = NULL, driver = NULL, purged_at = now()
WHERE id IN (
    SELECT id FROM aliaport_operations_gate_logs
    WHERE purged_at IS NULL AND created_at < now() - $1::interval
    ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)"""
_ACCOUNTS = """
UPDATE aliaport_operations_accounts SET
    tax_number = NULL, contact_person = NULL, contact_phone = NULL, contact_email = NULL,
    version = version + 1
WHERE id IN (
    SELECT id FROM aliaport_operations_accounts
    WHERE deactivated_at < now() - $1::interval
      AND num_nonnulls(tax_number, contact_person, contact_phone, contact_email) > 0
    ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)"""
_KEYS = """
DELETE FROM aliaport_operations_idempotency_keys WHERE (user_id, key) IN (
    SELECT user_id, key FROM aliaport_operations_idempotency_keys
    WHERE created_at < now() - $1::interval LIMIT $2 FOR UPDATE SKIP LOCKED)"""
_SESSIONS = """
DELETE FROM aliaport_operations_sessions WHERE token_hash IN (
    SELECT token_hash FROM aliaport_operations_sessions
    WHERE least(ended_at, expires_at) < now() - $1::interval LIMIT $2 FOR UPDATE SKIP LOCKED)"""
_FAILURES = """
DELETE FROM aliaport_operations_sign_in_failures WHERE key IN (
    SELECT key FROM aliaport_operations_sign_in_failures
    WHERE since < now() - $1::interval LIMIT $2 FOR UPDATE SKIP LOCKED)"""


@dataclass(frozen=True, slots=True)
class _Task:
    table: str
    statement: str
    kept: timedelta
    audited: bool = False


class Purge:
    """The job. Replicas can run it at the same time, since they skip each other's locked rows."""

    def __init__(self, context: Context, config: OperationsConfig) -> None:
        self._context = context
        self._counter = context.counter(PURGED)
        gate_logs = timedelta(days=config.gate_log_personal_days)
        # The stored responses contain plates too.
        keys = min(gate_logs, timedelta(hours=config.idempotency_hours))
        self._tasks: Sequence[_Task] = (
            _Task("idempotency_keys", _KEYS, keys),
            _Task("gate_logs", _GATE_LOGS, gate_logs, audited=True),
            _Task(
                "accounts", _ACCOUNTS, timedelta(days=config.account_personal_days), audited=True
            ),
            _Task("sessions", _SESSIONS, SESSIONS_KEPT),
            _Task("sign_in_failures", _FAILURES, FAILURES_KEPT),
        )
        for task in self._tasks:
            self._counter.inc(0, table=task.table)

    async def run(self) -> None:
        """Remove what has expired, in batches. Raises as `connect` does."""
        connection = await connect(self._context, component=COMPONENT)
        try:
            for task in self._tasks:
                while await self._batch(connection, task) == BATCH:
                    pass
        finally:
            await close(connection)

    async def _batch(self, connection: Connection, task: _Task) -> int:
        async with connection.transaction():
            done = await connection.execute(task.statement, task.kept, BATCH)
            count = int(done.rpartition(" ")[2])
            if count and task.audited:
                await self._context.audit.arecord(
                    "personal_data.removed", table=task.table, rows=count
                )
        self._counter.inc(count, table=task.table)
        return count
