"""One plugin: import, options, construction, start with retries, jobs, stop."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from aliaport.contract.declarations import Collector, Job, Status
from aliaport.contract.start_progress import START_PROGRESS
from aliaport.host.declaring import construct
from aliaport.host.discovery import Candidate
from aliaport.host.hints import declare_hint, rejecting
from aliaport.host.jobs import JobObserver, JobRunner
from aliaport.host.lifecycle import Component, State
from aliaport.host.loading import load, plugin_class
from aliaport.host.probes import ProbeResult, ProbeRunner
from aliaport.isolation.bulkhead import Bulkhead
from aliaport.isolation.failures import Failure
from aliaport.isolation.leftovers import Leftovers
from aliaport.isolation.positions import at_position
from aliaport.isolation.run import Run
from aliaport.isolation.source_lines import keep_lines
from aliaport.isolation.threads_left import ThreadsLeft
from aliaport.metrics.collectors import CollectorRunner
from aliaport.metrics.registry import MetricRegistry
from aliaport.plugin import Context, Logger, Plugin, PluginConfig
from aliaport.postgres.forgotten import terminate_forgotten
from aliaport.redaction import shorten
from aliaport.settings import (
    PluginLimits,
    ProbeSettings,
    Sources,
    masked,
    renamed_options,
)

NOTIFY_EVERY = 60.0
"""Minimum seconds between log lines about the same fault that no run can report."""

TERMINATE_TIMEOUT = 1.0
"""Seconds until the plugin's loop has terminated the connections that are left; it takes none."""

MAX_NOTIFIED = 200
"""Maximum number of different faults that are remembered."""

MIN_ATTEMPTS_REPORTED = 3
"""Failed attempts that left threads until they are reported: a single thread may be another's."""

MAX_THREADS_LEFT = 20
"""Threads left by failed attempts at which no further attempt is made: enough for a library that
ends its own late, and few for a process."""

ObserveJob = Callable[[str, Job], JobObserver | None]
"""Returns the observer, if any, of a job of the named plugin."""


class PluginInstance(Component):
    """One plugin in its bulkhead.

    With `runs_jobs=False` the caller runs the jobs. `observe` returns the observer of a job.
    """

    kind = "plugin"

    def __init__(
        self,
        candidate: Candidate,
        log: Logger,
        limits: PluginLimits,
        *,
        runs_jobs: bool = True,
        observe: ObserveJob | None = None,
    ) -> None:
        super().__init__(candidate, log, limits)
        self.needs_database = False
        self.shown_options: dict[str, Any] = {}
        self.probes: list[ProbeRunner] = []
        self.collectors: list[CollectorRunner] = []
        self.jobs: list[JobRunner] = []
        self._runs_jobs = runs_jobs
        self._observe = observe
        self._class: type[Plugin[PluginConfig]] = Plugin
        self._model: type[PluginConfig] = PluginConfig
        self._config = PluginConfig()
        self._plugin: Plugin[Any] | None = None
        self._context: Context | None = None
        self._stopping: Run | None = None
        self._stop_problem = ("", "")
        self._task_left = ""
        self._threads_left = ThreadsLeft()
        self._threads_reported = False
        self._tasks: list[asyncio.Task[None]] = []
        self._notified: dict[tuple[str, str, str], float] = {}

    async def load(self) -> None:
        """Import the plugin and check its class."""
        if not self.alive:
            return
        self._bulkhead = Bulkhead(self.name, self.candidate.package, self._notify)
        loaded = await self._call_guarded(
            self._import,
            self.limits.import_timeout,
            "import",
            "importing must not do I/O; move it to start()",
        )
        if loaded is not None:
            self._class, self._model, self.needs_database = loaded

    async def configure(self, sources: Sources) -> Sequence[str]:
        """Validate the plugin's options; return every problem."""
        if not self.alive:
            return ()

        def validate() -> Any:
            # All of this calls methods of the plugin's classes.
            config, problems = self._validate(sources, "plugins", self._model)
            renamed = renamed_options(sources, ("plugins", self.name), self._model.renamed_options)
            return config, problems, renamed, masked(config)

        validated = await self._call_guarded(
            validate,
            self.limits.construct_timeout,
            "config",
            "correct the class of the options; its validators must raise nothing but ValueError, "
            "and its values must be convertible to text",
        )
        if validated is None:
            return ()
        self._config, self.problems, self.deprecations, self.shown_options = validated
        return self.problems

    def _import(self) -> tuple[type[Plugin[PluginConfig]], type[PluginConfig], bool]:
        found, model = plugin_class(self.candidate, load(self.candidate))
        keep_lines(self.candidate.package)
        return found, model, bool(getattr(found, "needs_database", False))

    async def construct(
        self, context: Context, registry: MetricRegistry, policies: dict[str, ProbeSettings]
    ) -> None:
        """Construct the plugin and accept its declarations, unless its options are wrong."""
        if not self.alive or self.problems:
            return
        declared = await self._call_guarded(
            lambda: construct(self._class, self._config, context, self.candidate.package),
            self.limits.construct_timeout,
            "construct",
            "constructors and declarations must not do I/O; move it to start()",
        )
        if declared is None:
            return
        bulkhead = self._require_bulkhead()
        self._plugin, self._context = declared.plugin, context
        for probe in declared.probes:
            policy = policies.get(probe.name, ProbeSettings())
            self.probes.append(
                ProbeRunner.under_policy(
                    probe, self.name, bulkhead, self.log, policy, self._unavailable_result
                )
            )
        self.collectors = [
            CollectorRunner(collector, self.name, bulkhead, self.log, registry.refusals)
            for collector in declared.collectors
        ]
        for job in declared.jobs:
            observer = self._observe(self.name, job) if self._observe else None
            self.jobs.append(JobRunner(job, bulkhead, self.log, context.clock, observer))

    async def register(self, registry: MetricRegistry) -> None:
        """Declare the families of its collectors; of two that collide, the later one loses."""
        if not self.alive:
            return

        def declare() -> bool:
            hint = declare_hint("metrics()", Collector)
            with rejecting("declare", self.candidate.package, hint):
                for runner in self.collectors:
                    for family in runner.collector.families:
                        registry.declare(family, self.name)
            return True

        await self._call_guarded(
            declare, self.limits.construct_timeout, "declare", "correct the families in metrics()"
        )

    def begin(self) -> None:
        """Start the plugin in the background, and retry until it succeeds."""
        if self.alive:
            self._tasks.append(asyncio.create_task(self._run()))

    async def stop(self) -> None:
        """Let the plugin release its resources; takes at most `limits.stop_timeout`."""
        for task in self._tasks:
            task.cancel()
        if self._plugin is None or not self.alive:
            return
        self.state = State.STOPPED
        run = self._release(self._plugin)
        await run.wait()
        self._report_stop(run)
        await self._terminate_connections()
        self._require_bulkhead().close()

    async def _run(self) -> None:
        await self._start_until_running(self._start)
        self._report_running(retried=bool(self.problem))
        if self._runs_jobs:
            for job in self.jobs:
                self._tasks.append(asyncio.create_task(job.run_forever()))
                self._tasks.append(asyncio.create_task(job.watch_schedule()))

    async def _start(self) -> bool:
        """Start the plugin once; return whether it started, however late.

        It is not started while too many threads of its failed attempts still run.
        """
        if not self._check_threads():
            return False
        self._threads_left.begin()
        failed = False
        try:
            started = await self._attempt()
            failed = not started
        finally:
            self._threads_left.end(failed=failed)
        return started

    def _check_threads(self) -> bool:
        """Report the threads of failed attempts; return False if there are too many."""
        attempts = self._threads_left.alive()
        names = sorted(thread.name for threads in attempts for thread in threads)
        reason = f"{len(names)} threads of failed starts still run"
        if len(attempts) >= MIN_ATTEMPTS_REPORTED and not self._threads_reported:
            self._threads_reported = True
            self.log.warning(
                "plugin.threads_left",
                reason=reason,
                threads=[shorten(name, 100) for name in names[:5]],
                hint="end them in stop(); a thread cannot be ended by the host. At "
                f"{MAX_THREADS_LEFT} of them the plugin is not started again",
            )
        if len(names) < MAX_THREADS_LEFT:
            return True
        self._report_failed_start(
            f"{reason}; the next start waits until fewer than {MAX_THREADS_LEFT} are left",
            hint="end the threads in stop(), then restart the service",
        )
        return False

    async def _attempt(self) -> bool:
        assert self._plugin is not None
        plugin, bulkhead = self._plugin, self._require_bulkhead()
        leftovers, progress = Leftovers(bulkhead), self._new_progress()

        def start() -> Any:
            START_PROGRESS.set(progress)
            return leftovers.begin(plugin.start)

        run = bulkhead.submit(
            start,
            timeout=self.limits.start_timeout,
            freeze=lambda _: None,
            postpone=self._postpone,
        )
        await run.wait()
        if run.completed and run.failure is None:
            leftovers.keep()
            return True
        self._report_start(run)
        await run.wait_finished()
        if run.completed and run.failure is None:  # late, but started
            leftovers.keep()
            return True
        await self._clean_up(plugin, leftovers)
        return False

    async def _clean_up(self, plugin: Plugin[Any], leftovers: Leftovers) -> None:
        """Let the plugin release what a failed start acquired, and end what is left of it."""
        run = self._release(plugin)
        await run.wait()
        self._report_stop(run)
        await run.wait_finished()
        self._stopping = None
        alive = await leftovers.remove()
        await self._terminate_connections()
        if alive and alive[0] != self._task_left:
            self.log.warning(
                "plugin.tasks_left",
                reason=f"{len(alive)} tasks of a failed start ignore their cancellation",
                where=alive[0],
                hint="let CancelledError pass; the next start runs beside them",
            )
        self._task_left = alive[0] if alive else ""

    async def _terminate_connections(self) -> None:
        """Terminate the connections to PostgreSQL that stop() has left open."""
        context = self._context
        assert context is not None
        run = self._require_bulkhead().submit(
            lambda: terminate_forgotten(context), timeout=TERMINATE_TIMEOUT, freeze=lambda _: None
        )
        await run.wait()

    def _release(self, plugin: Plugin[Any]) -> Run:
        """Call the plugin's stop(), unless a call is in flight; return its run."""
        if self._stopping is None:
            self._stopping = self._require_bulkhead().submit(
                plugin.stop, timeout=self.limits.stop_timeout, freeze=lambda _: None
            )
        return self._stopping

    def _report_stop(self, run: Run) -> None:
        if run.completed and run.failure is None:
            return
        limit = f"did not finish within {self.limits.stop_timeout:g} s"
        # A late call ends with its cancellation, which is not why it failed.
        reason = str(run.failure) if run.completed else limit
        where = run.expired_where or run.where()
        if (reason, where) != self._stop_problem:
            self.log.warning("plugin.stop_failed", reason=reason, where=where)
        self._stop_problem = reason, where

    def _report_start(self, run: Run) -> None:
        where = run.expired_where or run.where()
        if run.completed:
            problem = str(run.failure)
        else:
            limit = self.limits.start_timeout
            problem = f"start() did not finish within {limit:g} s{at_position(where)}"
        self._report_failed_start(
            problem,
            where=where,
            traceback=run.failure.traceback if run.failure else "",
            hint=f"start() is retried, with pauses of up to {self.limits.max_retry:g} s",
        )

    def _unavailable_result(self) -> ProbeResult | None:
        if self.state is State.RUNNING:
            return None
        if self.state is State.REJECTED and self.rejection is not None:
            return ProbeResult(Status.UNHEALTHY, "rejected", self.rejection.reason)
        code = "draining" if self.state is State.STOPPED else "starting"
        return ProbeResult(Status.UNHEALTHY, code, self.trouble)

    def _notify(self, event: str, failure: Failure) -> None:
        """Log a fault; called in the plugin's thread, perhaps thousands of times a second."""
        now, key = time.monotonic(), (event, failure.type, failure.where)
        if now - self._notified.get(key, float("-inf")) < NOTIFY_EVERY:
            return
        if len(self._notified) > MAX_NOTIFIED:
            self._notified.clear()
        self._notified[key] = now
        self.log.error(event, reason=str(failure), where=failure.where, traceback=failure.traceback)
