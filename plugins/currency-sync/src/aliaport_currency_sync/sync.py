"""The job: the leading replica downloads today's bulletin first, then the missing days."""

from datetime import date, datetime

from aliaport.plugin import CURRENCY_SYNC_FAILURE, CURRENCY_SYNC_SUCCESS, Context, JobResult
from aliaport.postgres import FAULTS, Connection, Leader, ReconnectingConnection
from aliaport_currency_sync.bulletin import Fault
from aliaport_currency_sync.business_days import BusinessDays, today
from aliaport_currency_sync.config import CurrencySyncConfig
from aliaport_currency_sync.coverage import Coverage, CoverageReader
from aliaport_currency_sync.families import (
    FAILURES,
    RATES_STORED,
    RUN_DURATION,
    VALUES_LEFT_OUT,
)
from aliaport_currency_sync.intake import Intake, IntakeResult, IntakeStatus
from aliaport_currency_sync.pacing import Pacing
from aliaport_currency_sync.source import Outage, Source

RUN_BUDGET = 60.0
"""Seconds after which a run requests no further day; the next run continues."""

DATABASE = "database"
"""Reason of failures of the database, not of the source."""


class LostLeadError(Exception):
    """Another replica has taken the lead, so this one must not write."""


class Sync:
    """Downloads bulletins if this replica leads. Use it only in the plugin's loop."""

    def __init__(
        self,
        context: Context,
        config: CurrencySyncConfig,
        *,
        days: BusinessDays,
        reader: CoverageReader,
        leader: Leader,
        connection: ReconnectingConnection,
        source: Source,
    ) -> None:
        self.problem = ""
        self._context = context
        self._days = days
        self._reader = reader
        self._leader = leader
        self._connection = connection
        self._intake = Intake(context, source, days, config.jump_percent)
        self._today = Pacing()
        self._archive = Pacing()
        self._awaited_day: date | None = None
        self._was_leader = False
        self._left_out: dict[date, tuple[str, ...]] = {}
        self._successes = context.counter(CURRENCY_SYNC_SUCCESS)
        self._failures = context.counter(CURRENCY_SYNC_FAILURE)
        self._reasons = context.counter(FAILURES)
        self._rates = context.counter(RATES_STORED)
        self._values_left_out = context.counter(VALUES_LEFT_OUT)
        self._durations = context.histogram(RUN_DURATION)
        for reason in (*Fault, *Outage, DATABASE):
            self._reasons.inc(0, reason=str(reason))

    async def run(self) -> JobResult:
        """Download what is due if this replica leads. Raises if the database is unavailable."""
        leads = await self._leader.holds()
        if leads is not self._was_leader:
            if leads:
                await self._reader.remember_first_day(self._leader.session.fetch)
            self._was_leader = leads
            self._context.log.info("currency_sync.leads" if leads else "currency_sync.stands_by")
        clock = self._context.clock
        coverage = await self._reader.read(self._connection.fetch)
        if leads:
            began = clock.monotonic()
            try:
                requested = await self._download_due(coverage, began + RUN_BUDGET)
            except LostLeadError:
                self._was_leader = False
                self._context.log.warning("currency_sync.lost_lead")
                return JobResult.PENDING
            except FAULTS:
                self._count_failure(DATABASE, "the database failed during a write")
                raise
            if requested:
                self._durations.observe(clock.monotonic() - began)
                coverage = await self._reader.read(self._connection.fetch)
        due = self._days.newest_published(clock.now())
        return JobResult.DONE if coverage.has(due) else JobResult.PENDING

    def left_out(self, day: date) -> tuple[str, ...]:
        """Return what this replica left out of the bulletin of `day` if it last downloaded it."""
        return self._left_out.get(day, ())

    def next_attempt(self, coverage: Coverage) -> datetime | None:
        """Return when this replica next requests something; None if it does not lead."""
        if not self._was_leader:
            return None
        now = self._context.clock.now()
        attempts = [self._days.next_publication(now)]
        newest = self._days.newest_open(now)
        if newest == today(now):
            pending = self._today.next_at if newest == self._awaited_day else None
            # After midnight, the day's file is in the archive.
            if pending is None or today(pending) == newest:
                attempts.append(pending or now)
        for hole in coverage.missing:
            due_at = hole.due_at(now)
            if hole.day != today(now) and due_at is not None:
                attempts.append(max(due_at, self._archive.next_at or due_at))
        return max(now, min(attempts))

    async def _download_due(self, coverage: Coverage, deadline: float) -> bool:
        requested = await self._download_today(coverage)
        return await self._download_archive(coverage, deadline) or requested

    async def _download_today(self, coverage: Coverage) -> bool:
        """Request today.xml with growing pauses until it is new, then hourly for corrections."""
        now = self._context.clock.now()
        newest = self._days.newest_open(now)
        if newest != today(now):
            return False
        if newest != self._awaited_day:
            self._awaited_day = newest
            self._today.reset()
        if not self._today.allows(now):
            return False
        result = await self._intake.newest(self._writer)
        self._note(result, "today.xml")
        arrived = result.day == newest or coverage.has(newest)
        if arrived and result.status is not IntakeStatus.UNAVAILABLE:
            self._today.succeeded(self._context.clock.now())
        else:
            self._today.failed(self._context.clock.now())
        return True

    async def _download_archive(self, coverage: Coverage, deadline: float) -> bool:
        clock = self._context.clock
        if not self._archive.allows(clock.now()):
            return False
        requested = False
        for hole in coverage.missing:
            now = clock.now()
            if clock.monotonic() > deadline:
                break
            if hole.day == today(now) or not hole.due(now):
                continue
            requested = True
            result = await self._intake.archived(hole.day, self._writer)
            self._note(result, f"archive of {hole.day}")
            if result.status is IntakeStatus.UNAVAILABLE:
                self._archive.failed(clock.now())
                break
            self._archive.reset()
        return requested

    async def _writer(self) -> Connection:
        if not await self._leader.holds():
            raise LostLeadError
        return self._leader.session

    def _note(self, result: IntakeResult, what: str) -> None:
        if result.status is IntakeStatus.STORED:
            self._successes.inc()
            self._rates.inc(result.rates)
            self._values_left_out.inc(len(result.left_out))
        if result.day is not None and result.day >= max(self._left_out, default=result.day):
            self._left_out = {result.day: result.left_out}
        if result.problem:
            self._count_failure(result.reason, result.problem)
            self._context.log.warning(
                "currency_sync.failed", of=what, reason=result.reason, problem=result.problem
            )
        else:
            self.problem = ""
            self._context.log.debug("currency_sync.asked", of=what, result=result.status.value)

    def _count_failure(self, reason: str, problem: str) -> None:
        self.problem = f"{reason}: {problem}"
        self._failures.inc()
        self._reasons.inc(reason=reason)
