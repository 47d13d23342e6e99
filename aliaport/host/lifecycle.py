"""The life of one plugin: import, options, construction, start with retries, stop."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from aliaport.contract.declarations import Collector, Job, Probe, Status
from aliaport.errors import ConfigError
from aliaport.host.discovery import Candidate, RejectedError, Rejection, load, plugin_class
from aliaport.host.jobs import JobObserver, JobRunner
from aliaport.host.probes import ProbeResult, ProbeRunner
from aliaport.isolation.bulkhead import Bulkhead, Run
from aliaport.isolation.failures import Failure
from aliaport.metrics.collectors import CollectorRunner
from aliaport.metrics.registry import MetricRegistry
from aliaport.plugin import Context, Logger, Plugin, PluginConfig
from aliaport.settings import ProbeSettings, Sources, plugin_config

IMPORT_TIMEOUT = 10.0
CONSTRUCT_TIMEOUT = 5.0
START_TIMEOUT = 10.0
STOP_TIMEOUT = 3.0
FIRST_RETRY = 1.0
LAST_RETRY = 60.0
NOTIFY_EVERY = 60.0
"""All in seconds; the last between two reports of one fault that no run can report."""

MAX_DECLARATIONS = 200


ObserveJob = Callable[[str, Job], JobObserver | None]
"""Gives who is told of the runs of a job of the plugin named first."""


class State(StrEnum):
    """Where a plugin is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    REJECTED = "rejected"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Declared:
    """A constructed plugin and what it declared."""

    plugin: Plugin[Any]
    probes: tuple[Probe, ...]
    collectors: tuple[Collector, ...]
    jobs: tuple[Job, ...]


class PluginInstance:
    """One plugin in its bulkhead. Use it on the HTTP loop only.

    `attempted` is set once the first start attempt has ended, well or badly. With `runs_jobs` unset
    the jobs are left to the caller. `observe` gives who is told of a plugin's job, if anybody.
    """

    def __init__(
        self,
        candidate: Candidate,
        log: Logger,
        *,
        runs_jobs: bool = True,
        observe: ObserveJob | None = None,
    ) -> None:
        self.candidate = candidate
        self.name = candidate.name
        self.log = log
        self.state = State.STARTING
        self.rejection = candidate.rejection
        self.problem = ""
        self.needs_database = False
        self.probes: list[ProbeRunner] = []
        self.collectors: list[CollectorRunner] = []
        self.jobs: list[JobRunner] = []
        self.attempted = asyncio.Event()
        self._runs_jobs = runs_jobs
        self._observe = observe
        self._class: type[Plugin[PluginConfig]] = Plugin
        self._model: type[PluginConfig] = PluginConfig
        self._config = PluginConfig()
        self._plugin: Plugin[Any] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._bulkhead: Bulkhead | None = None
        self._notified: dict[tuple[str, str, str], float] = {}
        if self.rejection is not None:
            self.reject(self.rejection)

    @property
    def tasks(self) -> int:
        """How many asyncio tasks the plugin has alive."""
        return self._bulkhead.tasks if self._bulkhead else 0

    @property
    def options(self) -> PluginConfig:
        """The plugin's validated options."""
        return self._config

    @property
    def alive(self) -> bool:
        """Whether it still takes part."""
        return self.state is not State.REJECTED

    def reject(self, rejection: Rejection) -> None:
        """Take the plugin out for good, and say so once."""
        self.state, self.rejection = State.REJECTED, rejection
        self.attempted.set()
        self.log.error(
            "plugin.rejected",
            distribution=self.candidate.distribution,
            stage=rejection.stage,
            reason=rejection.reason,
            hint=rejection.hint,
        )
        if self._bulkhead is not None:
            self._bulkhead.close()

    async def load(self) -> None:
        """Import the plugin and check its class."""
        if not self.alive:
            return
        self._bulkhead = Bulkhead(self.name, self.candidate.package, self._notify)
        loaded = await self._guarded(
            lambda: plugin_class(self.candidate, load(self.candidate)),
            IMPORT_TIMEOUT,
            "import",
            "look at the line named; importing must do no input or output",
        )
        if loaded is not None:
            self._class, self._model = loaded
            self.needs_database = bool(getattr(self._class, "needs_database", False))

    async def configure(self, sources: Sources) -> Sequence[str]:
        """Validate the plugin's options; return everything that is wrong with them."""
        if not self.alive:
            return ()

        def validate() -> tuple[PluginConfig, tuple[str, ...]]:
            try:
                return plugin_config(sources, "plugins", self.name, self._model), ()
            except ConfigError as error:
                return self._config, error.problems

        validated = await self._guarded(
            validate,
            CONSTRUCT_TIMEOUT,
            "config",
            "the validators of its options must not fail otherwise than by ValueError",
        )
        if validated is None:
            return ()
        self._config, problems = validated
        return tuple(problems)

    async def construct(
        self, context: Context, registry: MetricRegistry, policies: dict[str, ProbeSettings]
    ) -> None:
        """Make the plugin and take in what it declares."""
        if not self.alive:
            return
        declared = await self._guarded(
            lambda: self._declare(context, registry),
            CONSTRUCT_TIMEOUT,
            "construct",
            "constructors do no input or output; move it to start()",
        )
        if declared is None:
            return
        bulkhead = self._require_bulkhead()
        self._plugin = declared.plugin
        for probe in declared.probes:
            policy = policies.get(probe.name, ProbeSettings())
            self.probes.append(
                ProbeRunner.under_policy(
                    probe, self.name, bulkhead, self.log, policy, self._closed_as
                )
            )
        self.collectors = [
            CollectorRunner(each, self.name, bulkhead, self.log) for each in declared.collectors
        ]
        for job in declared.jobs:
            observer = self._observe(self.name, job) if self._observe else None
            self.jobs.append(JobRunner(job, bulkhead, self.log, context.clock, observer))

    def begin(self) -> None:
        """Start the plugin in the background, again and again until it succeeds."""
        if self.alive:
            self._tasks.append(asyncio.create_task(self._keep_starting()))

    async def stop(self) -> None:
        """Let the plugin release what it has; takes at most STOP_TIMEOUT."""
        for task in self._tasks:
            task.cancel()
        if self._plugin is None or not self.alive:
            return
        self.state = State.STOPPED
        bulkhead = self._require_bulkhead()
        run = bulkhead.submit(self._plugin.stop, timeout=STOP_TIMEOUT, freeze=lambda _: None)
        await run.done
        if not run.answered or run.failure is not None:
            reason = str(run.failure) if run.failure else f"no end within {STOP_TIMEOUT:g} s"
            self.log.warning("plugin.stop_failed", reason=reason, where=run.where())
        bulkhead.close()

    async def _keep_starting(self) -> None:
        assert self._plugin is not None
        bulkhead = self._require_bulkhead()
        pause = FIRST_RETRY
        while True:
            run = bulkhead.submit(self._plugin.start, timeout=START_TIMEOUT, freeze=lambda _: None)
            await run.done
            if run.answered and run.failure is None:
                break
            self._report_failed_start(run)
            self.attempted.set()
            await run.wait_finished()
            if run.answered and run.failure is None:
                break  # late, but it did start
            await asyncio.sleep(pause * random.uniform(0.9, 1.1))  # noqa: S311
            pause = min(LAST_RETRY, pause * 2)
        self.state = State.RUNNING
        self.log.info("plugin.running", retried=bool(self.problem))
        self.problem = ""
        self.attempted.set()
        if self._runs_jobs:
            for job in self.jobs:
                self._tasks.append(asyncio.create_task(job.run_forever()))
                self._tasks.append(asyncio.create_task(job.watch_schedule()))

    def _report_failed_start(self, run: Run) -> None:
        where = run.expired_where or run.where()
        if run.answered:
            problem = str(run.failure)
        else:
            problem = f"start() has not ended within {START_TIMEOUT:g} s (at {where})"
        if problem != self.problem:
            self.log.error(
                "plugin.start_failed",
                reason=problem,
                where=where,
                traceback=run.failure.traceback if run.failure else "",
                hint="it is tried again with pauses of up to 60 s",
            )
        self.problem = problem

    def _declare(self, context: Context, registry: MetricRegistry) -> Declared:
        plugin = self._class(self._config, context)
        declared = Declared(
            plugin,
            _bounded(plugin.probes(), Probe, "probes()"),
            _bounded(plugin.metrics(), Collector, "metrics()"),
            _bounded(plugin.jobs(), Job, "jobs()"),
        )
        for kind, names in (
            ("probe", [probe.name for probe in declared.probes]),
            ("job", [job.name for job in declared.jobs]),
            ("collector", [collector.name for collector in declared.collectors]),
        ):
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise RejectedError(
                    "declare",
                    f"it declares two {kind}s named {', '.join(sorted(twice))}",
                    "give each its own name",
                )
        for collector in declared.collectors:
            for family in collector.families:
                registry.declare(family, self.name)
        return declared

    async def _guarded(
        self, function: Callable[[], Any], timeout: float, stage: str, hint: str
    ) -> Any:
        """Return what `function` gave in the plugin's thread; None once the plugin is rejected."""

        def call() -> Any:
            try:
                return function()
            except RejectedError as error:
                return error.rejection

        run = self._require_bulkhead().submit(call, timeout=timeout, freeze=lambda value: value)
        await run.done
        if run.answered and run.failure is None and not isinstance(run.value, Rejection):
            return run.value
        if isinstance(run.value, Rejection):
            self.reject(run.value)
        elif run.answered:
            self.reject(Rejection(stage, str(run.failure), hint))
        else:
            where = run.expired_where
            self.reject(Rejection(stage, f"no end within {timeout:g} s (at {where})", hint))
        return None

    def _closed_as(self) -> ProbeResult | None:
        if self.state is State.RUNNING:
            return None
        if self.state is State.REJECTED and self.rejection is not None:
            return ProbeResult(Status.UNHEALTHY, "rejected", self.rejection.reason)
        code = "draining" if self.state is State.STOPPED else "starting"
        return ProbeResult(Status.UNHEALTHY, code, self.problem)

    def _notify(self, event: str, failure: Failure) -> None:
        """Called in the plugin's thread, perhaps thousands of times a second."""
        now, key = time.monotonic(), (event, failure.type, failure.where)
        if now - self._notified.get(key, float("-inf")) < NOTIFY_EVERY:
            return
        if len(self._notified) > MAX_DECLARATIONS:
            self._notified.clear()
        self._notified[key] = now
        self.log.error(event, reason=str(failure), where=failure.where, traceback=failure.traceback)

    def _require_bulkhead(self) -> Bulkhead:
        assert self._bulkhead is not None, "load() comes first"
        return self._bulkhead


def _bounded(declared: object, kind: type[Any], source: str) -> tuple[Any, ...]:
    hint = f"return a list of {kind.__name__} from {source}"
    if not isinstance(declared, list | tuple):
        raise RejectedError("declare", f"{source} returned {type(declared).__name__}", hint)
    if len(declared) > MAX_DECLARATIONS:
        reason = f"{source} returned {len(declared)} items, more than {MAX_DECLARATIONS}"
        raise RejectedError("declare", reason, "declare fewer; use labels for what is many")
    for each in declared:
        if not isinstance(each, kind):
            raise RejectedError("declare", f"{source} holds {type(each).__name__}", hint)
    return tuple(declared)
