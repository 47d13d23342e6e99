"""Runs a plugin's periodic jobs: never twice at once, jittered, with backoff after a failure."""

import asyncio
import random
import time
from collections import Counter

from aliaport.bulkhead import Bulkhead, Run
from aliaport.declarations import Job
from aliaport.plugin import Logger

FIRST_RETRY = 1.0
"""Seconds until a failed run is repeated; doubled after each further failure, up to `every`."""


class JobRunner:
    """One job. `outcomes` counts its runs (succeeded, failed, timed_out), for /metrics."""

    def __init__(self, job: Job, bulkhead: Bulkhead, log: Logger) -> None:
        self.job = job
        self.outcomes: Counter[str] = Counter(succeeded=0, failed=0, timed_out=0)
        self.last_success: float | None = None
        self._bulkhead = bulkhead
        self._log = log
        self._failures = 0
        self._last_problem = ""

    async def run_forever(self) -> None:
        """Run the job again and again until cancelled; cancelling does not touch the run."""
        while True:
            run = self._bulkhead.submit(
                self.job.run,
                timeout=self.job.timeout,
                freeze=lambda _: None,
                slot=f"job-{self.job.name}",
            )
            await run.done
            self._report(run)
            await run.wait_finished()
            await asyncio.sleep(self.pause() * random.uniform(0.9, 1.1))  # noqa: S311

    def pause(self) -> float:
        """Seconds until the next run, before jitter."""
        if not self._failures:
            return self.job.every
        return float(min(self.job.every, FIRST_RETRY * 2 ** min(self._failures - 1, 30)))

    def _report(self, run: Run) -> None:
        if run.answered and run.failure is None:
            self.outcomes["succeeded"] += 1
            self.last_success = time.time()
            if self._last_problem:
                self._log.info("job.recovered", job=self.job.name, failures=self._failures)
            self._failures, self._last_problem = 0, ""
            return
        self._failures += 1
        if not run.answered or run.failure is None:
            self.outcomes["timed_out"] += 1
            problem, where = f"no end within {self.job.timeout:g} s", run.where()
        else:
            self.outcomes["failed"] += 1
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
