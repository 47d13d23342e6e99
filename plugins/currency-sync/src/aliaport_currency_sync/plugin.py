"""The currency_sync plugin: a job that downloads the rates, a probe and metrics."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time

from aliaport.plugin import (
    Check,
    Collector,
    Context,
    Job,
    Plugin,
    Probe,
    Sample,
    Schedule,
    Status,
)
from aliaport.postgres import (
    FAULTS,
    Leader,
    QueryTimeout,
    ReconnectingConnection,
    check_indexes,
    explain,
)
from aliaport_currency_sync import families
from aliaport_currency_sync.business_days import CALENDAR, BusinessDays
from aliaport_currency_sync.config import CurrencySyncConfig
from aliaport_currency_sync.coverage import CoverageReader
from aliaport_currency_sync.freshness import assess
from aliaport_currency_sync.indexes import INDEXES
from aliaport_currency_sync.schema import COMPONENT, prepare
from aliaport_currency_sync.source import Source
from aliaport_currency_sync.sync import RUN_BUDGET, Sync

SCHEDULE = Schedule("30 15 * * 1-5", "Europe/Istanbul", margin=3600)
"""On a holiday nothing new is due, and the job succeeds."""


class CurrencySyncPlugin(Plugin[CurrencySyncConfig]):
    """Keeps the official exchange rates of the Turkish central bank in PostgreSQL."""

    api = (1, 0)
    needs_database = True

    def __init__(self, config: CurrencySyncConfig, context: Context) -> None:
        super().__init__(config, context)
        self._days = CALENDAR.days = BusinessDays(config.extra_holidays)
        self._leader = Leader(context, name=COMPONENT, component=COMPONENT)
        self._reader = CoverageReader(self._days, config.first_day, context.clock)
        self._connection = ReconnectingConnection(
            context, component=COMPONENT, connect_timeout=2.0, query_timeout=5.0, reads_only=True
        )
        self._probe_connection = ReconnectingConnection(
            context,
            component=COMPONENT,
            connect_timeout=1.5 * config.probe_timeout,
            query_timeout=config.probe_timeout,
            reads_only=True,
        )
        self._source = Source(config, context.clock)
        self._sync = Sync(
            context,
            config,
            days=self._days,
            reader=self._reader,
            leader=self._leader,
            connection=self._connection,
            source=self._source,
        )

    async def start(self) -> None:
        """Bring the tables up to date, and open the connection of the probe."""
        await prepare(self.context)
        await self._probe_connection.open()

    async def stop(self) -> None:
        """Release the lead, so that another replica takes over at once."""
        await self._leader.release()
        await self._source.close()
        await self._connection.close()
        await self._probe_connection.close()

    def probes(self) -> Sequence[Probe]:
        """Return the probe `currency_rates`."""
        timeout = 3 * self.config.probe_timeout + 0.2
        return [
            Probe(name="currency_rates", title="Exchange rates", run=self._check, timeout=timeout)
        ]

    def metrics(self) -> Sequence[Collector]:
        """Return one collector for the coverage and one for the lead."""
        return [
            Collector(families.COVERAGE, self._collect_coverage, name="account", timeout=4),
            Collector((families.LEADER,), self._collect_leader, name="leader", timeout=1),
        ]

    def jobs(self) -> Sequence[Job]:
        """Return the job `sync`."""
        return [
            Job(
                name="sync",
                run=self._sync.run,
                every=self.config.standby_interval,
                timeout=2 * RUN_BUDGET + 2 * self.config.request_timeout,
                schedule=SCHEDULE,
            )
        ]

    async def _check(self) -> Check:
        try:
            broken = await check_indexes(self._probe_connection.fetch, INDEXES)
            coverage = await self._reader.read(self._probe_connection.fetch)
        except (QueryTimeout, *FAULTS) as error:
            fault = explain(error, self.context)
            if fault.code == "statement_timeout":
                return Check.unhealthy(fault.text, code=fault.code)
            return Check.unhealthy(f"the database is unavailable: {fault.text}", code="database")
        check = assess(
            coverage,
            self._days,
            self.context.clock.now(),
            problem=self._sync.problem,
            left_out=() if coverage.newest is None else self._sync.left_out(coverage.newest.day),
            next_attempt=self._sync.next_attempt(coverage),
        )
        if broken is not None and check.status is not Status.UNHEALTHY:
            return Check.degraded(broken.text, code=broken.code, **check.data)
        return check

    async def _collect_coverage(self) -> Iterable[Sample]:
        now = self.context.clock.now()
        coverage = await self._reader.read(self._connection.fetch)
        expected = self._days.newest_overdue(now)
        samples = [
            families.EXPECTED_BULLETIN.sample(_midnight(expected)),
            families.MISSED_BULLETINS.sample(len(coverage.missed(self._days, now))),
        ]
        if coverage.newest is not None:
            samples += [
                families.NEWEST_BULLETIN.sample(_midnight(coverage.newest.day)),
                families.LAST_SUCCESS.sample(coverage.newest.last_stored_at.timestamp()),
                families.JUMPED_RATES.sample(len(coverage.newest.jumps)),
            ]
        return samples

    async def _collect_leader(self) -> Iterable[Sample]:
        return [families.LEADER.sample(float(self._leader.leads))]


def _midnight(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()
