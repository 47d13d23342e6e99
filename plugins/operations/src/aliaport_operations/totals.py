"""Totals for /metrics, counted in the database: independent of replicas and restarts."""

from collections.abc import Iterable

from aliaport.plugin import ACTIVE_USERS, Clock, Sample
from aliaport.postgres import ReconnectingConnection
from aliaport_operations.families import (
    ACCOUNTS,
    GATE_LOG_ENTRIES,
    WORK_ORDERS_CREATED,
    WORK_ORDERS_NOW,
)
from aliaport_operations.gate_fields import Direction
from aliaport_operations.order_fields import FIRST, OrderStatus

ACTIVE_FOR = 15 * 60
"""Seconds after a request for which its user counts as active."""

_ORDERS = """
SELECT first_status, status, count(*) AS n FROM aliaport_operations_work_orders GROUP BY 1, 2"""
_GATE_LOGS = "SELECT direction, count(*) AS n FROM aliaport_operations_gate_logs GROUP BY 1"
_ACCOUNTS = """
SELECT deactivated_at IS NULL AS active, count(*) AS n FROM aliaport_operations_accounts
GROUP BY 1"""
_USERS = """
SELECT count(DISTINCT user_id) AS n FROM aliaport_operations_sessions
WHERE last_used_at > now() - make_interval(secs => $1)"""


class Totals:
    """Counts the tables, at most once in `interval` seconds."""

    def __init__(self, connection: ReconnectingConnection, clock: Clock, interval: float) -> None:
        self._connection = connection
        self._clock = clock
        self._interval = interval
        self._counted_at = float("-inf")
        self._samples: list[Sample] = []

    async def collect(self) -> Iterable[Sample]:
        """Collect `families.TOTALS`."""
        if self._clock.monotonic() - self._counted_at >= self._interval:
            self._samples = await self._count()
            self._counted_at = self._clock.monotonic()
        return self._samples

    async def collect_users(self) -> Iterable[Sample]:
        """Collect the number of active users."""
        (row,) = await self._connection.fetch(_USERS, float(ACTIVE_FOR))
        return [ACTIVE_USERS.sample(row["n"])]

    async def _count(self) -> list[Sample]:
        current = dict.fromkeys(OrderStatus, 0)
        created = dict.fromkeys(FIRST, 0)
        for row in await self._connection.fetch(_ORDERS):
            current[OrderStatus(row["status"])] += row["n"]
            created[OrderStatus(row["first_status"])] += row["n"]
        gate_logs = dict.fromkeys(Direction, 0)
        for row in await self._connection.fetch(_GATE_LOGS):
            gate_logs[Direction(row["direction"])] = row["n"]
        accounts = {"active": 0, "deactivated": 0}
        for row in await self._connection.fetch(_ACCOUNTS):
            accounts["active" if row["active"] else "deactivated"] = row["n"]
        return [
            *(ACCOUNTS.sample(n, state=state) for state, n in accounts.items()),
            *(WORK_ORDERS_NOW.sample(n, status=status) for status, n in current.items()),
            *(WORK_ORDERS_CREATED.sample(n, status=status) for status, n in created.items()),
            *(GATE_LOG_ENTRIES.sample(n, direction=key) for key, n in gate_logs.items()),
        ]
