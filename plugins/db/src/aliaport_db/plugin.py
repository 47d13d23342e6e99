"""The db plugin: one critical probe and the server's statistics."""

import time
from collections.abc import Iterable, Sequence

from aliaport.plugin import (
    CACHE_HIT_RATE,
    DB_CONNECTIONS,
    Check,
    Collector,
    Context,
    Metric,
    Plugin,
    Probe,
    Sample,
    Scalar,
)
from aliaport.postgres import (
    FAULT_CODES,
    FAULTS,
    QueryTimeout,
    ReconnectingConnection,
    explain,
)
from aliaport_db.config import DbConfig

MAX_CONNECTIONS = Metric.gauge(
    "aliaport_db_max_connections", "Connections that the server allows (max_connections)."
)
SIZE_BYTES = Metric.gauge("aliaport_db_size_bytes", "Size of the service's database.")
LATENCY = Metric.gauge(
    "aliaport_db_latency_seconds", "Duration of the probe's last successful query."
)

_PROBE = """
SELECT current_setting('server_version') AS version,
       pg_is_in_recovery() AS in_recovery,
       current_setting('transaction_read_only') = 'on' AS read_only"""
_ACTIVITY = """
SELECT coalesce(state, 'unknown') AS state, count(*) AS connections
FROM pg_stat_activity WHERE backend_type = 'client backend' GROUP BY 1"""
_CACHE = """
SELECT blks_hit, blks_read, current_setting('max_connections')::int AS max_connections
FROM pg_stat_database WHERE datname = current_database()"""
_SIZE = "SELECT pg_database_size(current_database()) AS size"

_STATES = ("active", "idle", "idle in transaction", "idle in transaction (aborted)", "unknown")


class DbPlugin(Plugin[DbConfig]):
    """Checks and measures the PostgreSQL server at DATABASE_URL."""

    api = (1, 0)
    needs_database = True

    def __init__(self, config: DbConfig, context: Context) -> None:
        super().__init__(config, context)
        statistics_timeout = config.statistics_timeout
        self._probe = ReconnectingConnection(
            context,
            component="db",
            connect_timeout=config.connect_timeout,
            query_timeout=config.query_timeout,
            reads_only=True,
        )
        self._statistics, self._size = (
            ReconnectingConnection(
                context,
                component="db",
                connect_timeout=statistics_timeout,
                query_timeout=statistics_timeout,
                reads_only=True,
            )
            for _ in range(2)
        )
        self._latency: float | None = None

    async def stop(self) -> None:
        """Close the connections."""
        for connection in (self._probe, self._statistics, self._size):
            await connection.close()

    def probes(self) -> Sequence[Probe]:
        """Return the probe `database`."""
        return [
            Probe(
                name="database",
                title="PostgreSQL",
                run=self._check,
                critical=True,
                timeout=self.config.connect_timeout + self.config.query_timeout + 0.05,
                section="database",
                section_defaults={"engine": "postgresql"},
                words=("connected", "disconnected"),
            )
        ]

    def metrics(self) -> Sequence[Collector]:
        """Return one collector each for statistics, size and latency."""
        timeout = 3 * self.config.statistics_timeout
        families = (DB_CONNECTIONS, MAX_CONNECTIONS, CACHE_HIT_RATE)
        return [
            Collector(families, self._collect_statistics, name="statistics", timeout=timeout),
            Collector((SIZE_BYTES,), self._collect_size, name="size", timeout=timeout),
            Collector((LATENCY,), self._collect_latency, name="latency", timeout=1),
        ]

    async def _check(self) -> Check:
        began = time.perf_counter()
        try:
            (row,) = await self._probe.fetch(_PROBE)
        except (QueryTimeout, *FAULTS) as error:
            fault = explain(error, self.context)
            return Check.unhealthy(fault.text, code=fault.code)
        self._latency = time.perf_counter() - began
        data: dict[str, Scalar] = {
            "engine": "postgresql",
            "version": row["version"],
            "role": "replica" if row["in_recovery"] else "primary",
            "latency_ms": round(self._latency * 1000, 2),
        }
        if self.config.require_writable and row["read_only"]:
            return Check.unhealthy(FAULT_CODES["read_only"], code="read_only", **data)
        text = f"PostgreSQL {row['version']}, {data['role']}, {data['latency_ms']} ms"
        refusal = self._probe.replacement_error
        if refusal is not None:
            fault = explain(refusal, self.context)
            text = f"{text}; but no new connection can be opened: {fault.text}"
            return Check.degraded(text, code=fault.code, **data)
        return Check.healthy(text, code="ok", **data)

    async def _collect_statistics(self) -> Iterable[Sample]:
        rows = await self._statistics.fetch(_ACTIVITY)
        counts = dict.fromkeys(_STATES, 0) | {row["state"]: row["connections"] for row in rows}
        samples = [
            DB_CONNECTIONS.sample(
                count, state=state.replace(" (aborted)", "_aborted").replace(" ", "_")
            )
            for state, count in counts.items()
        ]
        (row,) = await self._statistics.fetch(_CACHE)
        samples.append(MAX_CONNECTIONS.sample(row["max_connections"]))
        if row["blks_hit"] + row["blks_read"]:
            percent = 100 * row["blks_hit"] / (row["blks_hit"] + row["blks_read"])
            samples.append(CACHE_HIT_RATE.sample(percent, cache="postgresql"))
        return samples

    async def _collect_size(self) -> Iterable[Sample]:
        (row,) = await self._size.fetch(_SIZE)
        return [SIZE_BYTES.sample(row["size"])]

    async def _collect_latency(self) -> Iterable[Sample]:
        return [] if self._latency is None else [LATENCY.sample(self._latency)]
