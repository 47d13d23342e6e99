"""The operations plugin: a probe, metrics from the database, and the purge of personal data."""

from collections.abc import Sequence

from aliaport.plugin import (
    ACTIVE_USERS,
    Check,
    Collector,
    Context,
    Job,
    Plugin,
    Probe,
)
from aliaport.postgres import (
    FAULTS,
    QueryTimeout,
    ReconnectingConnection,
    check_indexes,
    explain,
)
from aliaport_operations.config import OperationsConfig
from aliaport_operations.families import TOTALS
from aliaport_operations.indexes import INDEXES, READ_TABLES
from aliaport_operations.purge import Purge
from aliaport_operations.saturation import SATURATION
from aliaport_operations.schema import COMPONENT, MIGRATIONS, prepare
from aliaport_operations.totals import Totals

_SCHEMA = "SELECT coalesce(max(number), 0) AS n FROM aliaport_migrations WHERE component = $1"


class OperationsPlugin(Plugin[OperationsConfig]):
    """Accounts, work orders and gate logs of a port operator."""

    api = (1, 0)
    needs_database = True

    def __init__(self, config: OperationsConfig, context: Context) -> None:
        super().__init__(config, context)
        self._purge = Purge(context, config)
        self._probe_connection = ReconnectingConnection(
            context,
            component=COMPONENT,
            connect_timeout=1.5 * config.probe_timeout,
            query_timeout=config.probe_timeout,
            reads_only=True,
        )
        self._connection = ReconnectingConnection(
            context, component=COMPONENT, connect_timeout=2.0, query_timeout=4.0, reads_only=True
        )
        self._totals = Totals(self._connection, context.clock, config.totals_interval)

    async def start(self) -> None:
        """Bring the tables up to date, and open the connection of the probe."""
        await prepare(self.context)
        await self._probe_connection.open()

    async def stop(self) -> None:
        """Close the connections to the database."""
        await self._connection.close()
        await self._probe_connection.close()

    def probes(self) -> Sequence[Probe]:
        """Return the probe `operations`."""
        return [
            Probe(
                name="operations",
                title="Operations API",
                run=self._check,
                timeout=3 * self.config.probe_timeout + 0.2,
                section="operations",
                section_defaults={
                    "schema_version": None,
                    "pool_used": None,
                    "pool_max": None,
                    "refused_last_minute": None,
                    "timed_out_last_minute": None,
                },
            )
        ]

    def metrics(self) -> Sequence[Collector]:
        """Return the collectors of the totals and of the active users."""
        return [
            Collector(TOTALS, self._totals.collect, name="totals", timeout=14),
            Collector((ACTIVE_USERS,), self._totals.collect_users, name="users", timeout=7),
        ]

    def jobs(self) -> Sequence[Job]:
        """Return the job `purge`."""
        return [
            Job(name="purge", run=self._purge.run, every=self.config.purge_interval, timeout=600)
        ]

    async def _check(self) -> Check:
        try:
            return await self._check_database()
        except (QueryTimeout, *FAULTS) as error:
            fault = explain(error, self.context)
            if fault.code == "statement_timeout":
                return Check.unhealthy(fault.text, code=fault.code)
            text = f"the database cannot be queried: {fault.text}"
            return Check.unhealthy(text, code="database")

    async def _check_database(self) -> Check:
        fetch = self._probe_connection.fetch
        (row,) = await fetch(_SCHEMA, COMPONENT)
        data = {
            "schema_version": row["n"],
            "pool_used": SATURATION.used if SATURATION.running else None,
            "pool_max": SATURATION.max_connections if SATURATION.running else None,
            "refused_last_minute": SATURATION.recently_shed(),
            "timed_out_last_minute": SATURATION.recently_timed_out(),
        }
        if row["n"] != len(MIGRATIONS):
            text = f"the tables have version {row['n']}; this program needs {len(MIGRATIONS)}"
            return Check.unhealthy(text, code="schema", **data)
        broken = await check_indexes(fetch, INDEXES)
        await fetch(READ_TABLES)
        if broken is not None:
            return Check.degraded(broken.text, code=broken.code, **data)
        if data["refused_last_minute"]:
            text = f"requests refused in the last minute: {data['refused_last_minute']}"
            return Check.degraded(text, code="overloaded", **data)
        if data["timed_out_last_minute"]:
            text = f"requests that timed out in the last minute: {data['timed_out_last_minute']}"
            text += f"; the last one {SATURATION.last_timeout}"
            return Check.degraded(text, code="statement_timeout", **data)
        application = "runs" if SATURATION.running else "does not run in this process"
        text = f"the tables are up to date; the application {application}"
        return Check.healthy(text, **data)
