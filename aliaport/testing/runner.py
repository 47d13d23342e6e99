"""Runs one plugin class as the host would, on a loop in a thread of its own."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from typing import Any, TypeVar

import structlog
from pydantic import SecretStr

from aliaport.contract.declarations import Sample
from aliaport.errors import AliaportError, ConfigError
from aliaport.host.context import HostContext, SystemClock
from aliaport.host.discovery import Candidate
from aliaport.host.jobs import JobRunner
from aliaport.host.lifecycle import State
from aliaport.host.plugin_instance import PluginInstance
from aliaport.host.probes import ProbeResult, ProbeRunner, run_probes
from aliaport.metrics.collectors import collect
from aliaport.metrics.exposition import render_family
from aliaport.metrics.registry import MetricRegistry
from aliaport.plugin import Audit, Clock, Logger, Plugin
from aliaport.settings import MetricsSettings, PluginLimits, Sources

CALL_TIMEOUT = 60.0
"""Seconds after which a call gives up; only a fault of this module takes so long."""

ResultT = TypeVar("ResultT")


@dataclass(slots=True)
class RunningPlugin:
    """A started plugin.

    `logged` has the events that it logged and the host logged about it, `audited` its audit events.
    """

    logged: list[dict[str, Any]] = field(default_factory=list)
    audited: list[dict[str, Any]] = field(default_factory=list)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _instance: PluginInstance | None = None
    _registry: MetricRegistry = field(default_factory=lambda: MetricRegistry(100))

    def probe(self, name: str) -> ProbeResult:
        """Run one probe, as a request to /status would. Raises AliaportError for an unknown name.

        The result may carry one of the host's own codes, such as `timeout` or `stuck`.
        """
        for runner in self._running().probes:
            if runner.probe.name == name:
                return self._call(_probed(runner))
        names = ", ".join(runner.probe.name for runner in self._running().probes)
        raise AliaportError(f"there is no probe {name!r}; there are: {names or 'none'}")

    def job(self, name: str) -> str:
        """Run one job now; return its outcome: succeeded, pending, failed or timed_out.

        Meant for plugins run with `jobs=False`. Raises AliaportError for an unknown name.
        """
        runner = self._job(name)
        outcome: str = self._call(runner.run_once())
        return outcome

    def missed_runs(self, name: str) -> int:
        """Check whether the job's scheduled work is overdue; return how often it was so far."""
        runner = self._job(name)

        async def look() -> int:
            runner.look_for_a_miss()
            return runner.missed

        return self._call(look())

    def collect(self) -> list[Sample]:
        """Run all collectors, as one scrape would; return the valid samples."""
        instance = self._running()
        samples = []
        for _, collection in self._call(collect(instance.collectors, CALL_TIMEOUT / 2)):
            for series in collection.series:
                names = self._registry.families[series.family].labels
                labels = dict(zip(names, series.labels, strict=True))
                samples.append(Sample(series.family, series.value, labels))
        return samples

    def exposition(self) -> str:
        """Return the plugin's families as /metrics would show them."""
        samples = self._registry.snapshot()
        for sample in self.collect():
            labels = tuple(sample.labels.values())
            samples.setdefault(sample.metric, {})[labels] = sample.value
        families = self._registry.families
        return "".join(
            f"{render_family(families[name], values)}\n" for name, values in sorted(samples.items())
        )

    def _job(self, name: str) -> JobRunner:
        for runner in self._running().jobs:
            if runner.job.name == name:
                return runner
        names = ", ".join(runner.job.name for runner in self._running().jobs)
        raise AliaportError(f"there is no job {name!r}; there are: {names or 'none'}")

    def _running(self) -> PluginInstance:
        assert self._instance is not None
        return self._instance

    def _call(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_TIMEOUT)


@contextmanager
def run_plugin(
    plugin: type[Plugin[Any]],
    config: Mapping[str, Any] | None = None,
    *,
    name: str = "",
    database_url: str | None = None,
    environment: str = "test",
    clock: Clock | None = None,
    jobs: bool = True,
) -> Iterator[RunningPlugin]:
    """Construct and start `plugin`, yield it, and stop it.

    `config` is what `[plugins.<name>]` would hold. `name` is the entry point's; otherwise the last
    part of the plugin's package without `aliaport_`. `clock` replaces the machine's for the plugin
    and for its jobs' schedules; with `jobs=False` its jobs run only when the test calls `job`.
    Raises ConfigError if the options are wrong and AliaportError, which says why, if the plugin is
    rejected or its first start fails.
    """
    running = RunningPlugin()
    thread = threading.Thread(
        target=running._loop.run_forever, name="aliaport-testing", daemon=True
    )
    thread.start()
    try:
        package = _package(plugin)
        name = name or package.removeprefix("aliaport_")
        context = make_context(
            name,
            database_url=database_url,
            environment=environment,
            log=_logger(running.logged),
            audit=_KeptAudit(running.audited),
            clock=clock,
        )
        running._registry = context.registry
        running._call(_start(running, plugin, dict(config or {}), package, context, jobs))
        yield running
    finally:
        if running._instance is not None:
            running._call(running._instance.stop())
        running._loop.call_soon_threadsafe(running._loop.stop)
        thread.join(CALL_TIMEOUT)
        running._loop.close()


def make_context(
    name: str = "example",
    *,
    database_url: str | None = None,
    environment: str = "test",
    log: Logger | None = None,
    audit: Audit | None = None,
    clock: Clock | None = None,
) -> HostContext:
    """Return a context for a plugin that the test constructs itself."""
    return HostContext(
        plugin=name,
        log=log or _logger([]),
        audit=audit or _KeptAudit([]),
        environment=environment,
        database_url=SecretStr(database_url) if database_url else None,
        registry=MetricRegistry(MetricsSettings().max_series_per_family),
        clock=clock or SystemClock(),
    )


async def _start(
    running: RunningPlugin,
    plugin: type[Plugin[Any]],
    config: dict[str, Any],
    package: str,
    context: HostContext,
    jobs: bool,
) -> None:
    name = context.plugin
    entry = EntryPoint(name, f"{plugin.__module__}:{plugin.__qualname__}", "aliaport.plugins")
    candidate = Candidate("plugins", name, entry, package, "0", loaded=plugin)
    instance = running._instance = PluginInstance(
        candidate, context.log, PluginLimits(), runs_jobs=jobs
    )
    await instance.load()
    _raise_if_rejected(instance)
    problems = await instance.configure(Sources({}, {"plugins": {name: config}}, None, {}))
    if problems:
        raise ConfigError(problems)
    await instance.construct(context, context.registry, {})
    _raise_if_rejected(instance)
    instance.begin()
    await instance.attempted.wait()
    if instance.state is not State.RUNNING:
        raise AliaportError(f"start() failed: {instance.problem}")


def _package(plugin: type[Plugin[Any]]) -> str:
    """Return the package of the class, or of its base if a test derived the class from it."""
    packages = [base.__module__.partition(".")[0] for base in plugin.__mro__]
    return next((name for name in packages if name.startswith("aliaport_")), packages[0])


def _raise_if_rejected(instance: PluginInstance) -> None:
    if instance.rejection is not None:
        reject = instance.rejection
        raise AliaportError(f"{reject.stage}: {reject.reason}. {reject.hint}")


async def _probed(runner: ProbeRunner) -> ProbeResult:
    (row,) = await run_probes([runner], runner.timeout + 1.0)
    return row.result


class _KeptAudit:
    def __init__(self, events: list[dict[str, Any]]) -> None:
        self._events = events

    def record(self, action: str, /, **fields: Any) -> None:
        self._events.append({"action": action, **fields})

    async def arecord(self, action: str, /, **fields: Any) -> None:
        self.record(action, **fields)


def _logger(events: list[dict[str, Any]]) -> Logger:
    def keep(_logger: Any, method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
        events.append({"level": method, **event})
        raise structlog.DropEvent

    logger: Logger = structlog.wrap_logger(
        structlog.ReturnLogger(),
        processors=[structlog.processors.format_exc_info, keep],
        wrapper_class=structlog.make_filtering_bound_logger(10),
    )
    return logger
