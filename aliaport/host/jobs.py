"""Runs a plugin's periodic jobs: one run at a time, with jitter, with backoff after a failure."""

import asyncio
import random
import time
from collections import Counter
from datetime import datetime, timedelta
from typing import Protocol

from aliaport.contract.declarations import Job, JobResult
from aliaport.isolation.bulkhead import Bulkhead
from aliaport.isolation.run import Run
from aliaport.plugin import Clock, Logger

FIRST_RETRY = 1.0
"""Seconds until a failed run is retried; doubled after each further failure, up to `every`."""

WATCH_EVERY = 5.0
"""Seconds between two checks for missed work."""


class JobObserver(Protocol):
    """Receives the outcomes of a job on the HTTP loop; must neither block nor raise."""

    def ended(self, outcome: str, began: datetime, seconds: float) -> None:
        """Handle a run that ended or timed out."""
        ...

    def missed(self, due: datetime) -> None:
        """Handle work that was due at `due` and was not done within the margin."""
        ...


class JobRunner:
    """One job. Use it on the HTTP loop only.

    `outcomes` counts its runs (succeeded, pending, failed, timed_out) and `missed` the times that
    scheduled work was not done in time, for /metrics.
    """

    def __init__(
        self,
        job: Job,
        bulkhead: Bulkhead,
        log: Logger,
        clock: Clock,
        observer: JobObserver | None = None,
    ) -> None:
        self.job = job
        self.outcomes: Counter[str] = Counter(succeeded=0, pending=0, failed=0, timed_out=0)
        self.last_success: datetime | None = None
        self.missed = 0
        self._bulkhead = bulkhead
        self._log = log
        self._clock = clock
        self._observer = observer
        self._failures = 0
        self._last_problem = ""
        self._watched_since = clock.now()
        self._done_began: datetime | None = None
        self._checked_due: datetime | None = None
        self._slot = bulkhead.prepare(job.run, f"job-{job.name}")

    @property
    def last_due(self) -> datetime | None:
        """The time at which work was last due; None without a schedule."""
        schedule = self.job.schedule
        return None if schedule is None else schedule.last_due(self._clock.now())

    async def run_forever(self) -> None:
        """Run the job repeatedly until cancelled; cancelling does not stop the current run."""
        while True:
            await self.run_once()
            await asyncio.sleep(self.pause() * random.uniform(0.9, 1.1))  # noqa: S311

    async def run_once(self) -> str:
        """Run the job, wait until it has really ended, and return its outcome."""
        began = self._clock.now()
        run = self._bulkhead.submit(
            self.job.run,
            timeout=self.job.timeout,
            freeze=_result,
            slot=self._slot,
        )
        await run.wait()
        outcome = self._report(run, began)
        if self._observer is not None:
            self._observer.ended(outcome, began, time.monotonic() - run.submitted)
        await run.wait_finished()
        return outcome

    async def watch_schedule(self) -> None:
        """Report missed runs until cancelled, even while a run hangs."""
        while self.job.schedule is not None:
            self.check_missed()
            await asyncio.sleep(WATCH_EVERY)

    def check_missed(self) -> None:
        """Report, once, that the work that was last due was not done within the margin.

        If the service was started after the work was due, the margin begins at its start.
        """
        schedule, now = self.job.schedule, self._clock.now()
        if schedule is None or now < self._watched_since + timedelta(seconds=schedule.margin):
            return
        due = schedule.last_due(now - timedelta(seconds=schedule.margin))
        if due == self._checked_due:
            return
        self._checked_due = due
        if self._done_began is not None and self._done_began >= due:
            return
        self.missed += 1
        self._log.error(
            "job.missed",
            job=self.job.name,
            due=due.isoformat(),
            margin_s=schedule.margin,
            last_success=self.last_success and self.last_success.isoformat(timespec="seconds"),
            problem=self._last_problem,
            hint="the work that was due is not done; see `problem`, or check if the job is stuck",
        )
        if self._observer is not None:
            self._observer.missed(due)

    def pause(self) -> float:
        """Return the seconds until the next run, before jitter."""
        if not self._failures:
            return self.job.every
        return float(min(self.job.every, FIRST_RETRY * 2 ** min(self._failures - 1, 30)))

    def _report(self, run: Run, began: datetime) -> str:
        if run.completed and run.failure is None:
            if self._last_problem:
                self._log.info("job.recovered", job=self.job.name, failures=self._failures)
            self._failures, self._last_problem = 0, ""
            if run.value is JobResult.PENDING:
                return self._count("pending")
            self.last_success, self._done_began = self._clock.now(), began
            return self._count("succeeded")
        self._failures += 1
        if not run.completed or run.failure is None:
            outcome = self._count("timed_out")
            problem, where = f"did not finish within {self.job.timeout:g} s", run.where()
        else:
            outcome = self._count("failed")
            problem, where = str(run.failure), run.failure.where
        if problem != self._last_problem:
            self._last_problem = problem
            self._log.error(
                "job.failed",
                job=self.job.name,
                reason=problem,
                where=where,
                traceback=run.failure.traceback if run.failure else "",
            )
        return outcome

    def _count(self, outcome: str) -> str:
        self.outcomes[outcome] += 1
        return outcome


def _result(value: object) -> JobResult:
    """Convert what the job returned, in its own thread; anything but PENDING means done."""
    return JobResult.PENDING if value is JobResult.PENDING else JobResult.DONE
