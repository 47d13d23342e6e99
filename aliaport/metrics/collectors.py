"""Runs collectors concurrently, within the scrape's budget, each at most once at a time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from aliaport.contract.declarations import Collector
from aliaport.isolation.bulkhead import Bulkhead
from aliaport.isolation.positions import at_position
from aliaport.isolation.run import Run
from aliaport.isolation.single_flight import SingleFlight
from aliaport.metrics.refusals import Refusals, RefusedSample
from aliaport.metrics.samples import Collection, freezer
from aliaport.plugin import Logger

NOTHING = Collection((), {})


@dataclass(slots=True)
class CollectorStats:
    """The outcome of a collector's last run, for /metrics.

    `success` is False if it failed, was late, or one of its samples was refused.
    """

    success: bool = False
    duration: float = 0.0


class CollectorRunner:
    """One collector as the host runs it. Use it on the HTTP loop only.

    `problem` says why its last run failed.
    """

    def __init__(
        self,
        collector: Collector,
        plugin: str,
        bulkhead: Bulkhead,
        log: Logger,
        refusals: Refusals,
    ) -> None:
        self.collector = collector
        self.plugin = plugin
        self.stats = CollectorStats()
        self._log = log
        self._refusals = refusals
        self.problem = ""
        self._flight = SingleFlight(
            bulkhead,
            collector.run,
            timeout=collector.timeout,
            freeze=freezer(collector.families),
            slot=f"collector-{collector.name}",
        )

    def begin(self) -> Run:
        """Return the run to wait for."""
        return self._flight.join_or_start()[0]

    def refuse(self, refused: RefusedSample) -> None:
        """Report a sample that is not exported: the collection did not succeed."""
        self.stats.success = False
        self._refusals.report(self.plugin, refused, self._log)

    def read(self, run: Run) -> Collection:
        """Return the run's collection; it is empty if the run failed or has not ended."""
        if run.completed and run.failure is None and isinstance(run.value, Collection):
            self.stats.success = True
            self.stats.duration = (run.ended or run.submitted) - run.submitted
            if self.problem:
                self._log.info("collector.recovered", collector=self.collector.name)
            self.problem = ""
            for refused in run.value.refused:
                self.refuse(refused)
            return run.value
        self.stats.success = False
        # A late call ends with its cancellation, which is not why it failed.
        failure = run.failure if run.completed else None
        late = f"did not finish in time{at_position(run.expired_where or run.where())}"
        problem = str(failure) if failure else late
        if problem != self.problem:
            self.problem = problem
            traceback = failure.traceback if failure else ""
            self._log.warning(
                "collector.failed",
                collector=self.collector.name,
                reason=problem,
                traceback=traceback,
            )
        return NOTHING


async def collect(
    runners: Sequence[CollectorRunner], budget: float
) -> list[tuple[CollectorRunner, Collection]]:
    """Run all concurrently and return their collections after at most `budget` seconds."""
    runs = [(runner, runner.begin()) for runner in runners]
    pending = {run.done for _, run in runs if not run.done.done()}
    if pending:
        await asyncio.wait(pending, timeout=budget)
    return [(runner, runner.read(run)) for runner, run in runs]
