"""Runs one plugin class as the host would, on a loop in its own thread."""

import asyncio
import threading
from collections.abc import Collection, Coroutine, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
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
from aliaport.host.scrape import merge
from aliaport.metrics.collectors import CollectorRunner, collect
from aliaport.metrics.exposition import render_family
from aliaport.metrics.registry import MetricRegistry, Samples
from aliaport.metrics.samples import Collection as CollectedSamples
from aliaport.plugin import Audit, Clock, Logger, Plugin
from aliaport.settings import MetricsSettings, PluginLimits, Sources

CALL_TIMEOUT = 60.0
"""Seconds after which a call gives up; only a bug in this module takes so long."""

ResultT = TypeVar("ResultT")


class RunningPlugin:
    """A started plugin.

    `name` is the plugin's identity in configuration, metrics and logs. `logged` holds the events
    that it logged, or the host about it; `audited` holds its audit events.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        instance: PluginInstance,
        registry: MetricRegistry,
        logged: list[dict[str, Any]],
        audited: list[dict[str, Any]],
    ) -> None:
        self.name = instance.name
        self.logged = logged
        self.audited = audited
        self._loop = loop
        self._instance = instance
        self._registry = registry
        self._raised = 0

    def probe(self, name: str) -> ProbeResult:
        """Run one probe, as a request to /status would. Raises AliaportError for an unknown name.

        The result may carry one of the host's own codes, such as `timeout` or `stuck`.
        """
        for runner in self._instance.probes:
            if runner.probe.name == name:
                return self._call(_run_probe(runner))
        names = ", ".join(runner.probe.name for runner in self._instance.probes)
        raise AliaportError(f"there is no probe {name!r}; the plugin has: {names or 'none'}")

    def job(self, name: str) -> str:
        """Run one job now; return its outcome: succeeded, pending, failed or timed_out.

        Meant for plugins run with `jobs=False`. Raises AliaportError for an unknown name.
        """
        runner = self._job(name)
        outcome: str = self._call(runner.run_once())
        return outcome

    def missed_runs(self, name: str) -> int:
        """Check for overdue scheduled work of the job; return the number of missed runs so far."""
        runner = self._job(name)

        async def check() -> int:
            runner.check_missed()
            return runner.missed

        return self._call(check())

    def collect(self, *, may_fail: Collection[str] = ()) -> list[Sample]:
        """Run all collectors, as one scrape would; return their samples.

        Raises AliaportError, which describes the problem, if a collector raised or did not finish
        in time, or if samples were refused: here, or by a counter, gauge or histogram since the
        start. The collectors named in `may_fail` are then only left out, as in a scrape.
        """
        samples = []
        collected, _ = self._gather(may_fail)
        for _, collection in collected:
            for series in collection.series:
                names = self._registry.families[series.family].labels
                labels = dict(zip(names, series.labels, strict=True))
                samples.append(Sample(series.family, series.value, labels))
        return samples

    def check_samples(self) -> None:
        """Raise AliaportError if samples were refused that no call has raised yet."""
        refused = self._registry.refusals.listed()[self._raised :]
        self._raised += len(refused)
        if refused:
            described = "\n  - ".join(str(sample) for _, sample in refused)
            raise AliaportError(f"samples were refused:\n  - {described}")

    def exposition(self) -> str:
        """Return the plugin's families as /metrics would show them. Raises as `collect` does."""
        _, samples = self._gather()
        families = self._registry.families
        return "".join(
            f"{render_family(families[name], values)}\n" for name, values in sorted(samples.items())
        )

    def _gather(
        self, may_fail: Collection[str] = ()
    ) -> tuple[list[tuple[CollectorRunner, CollectedSamples]], dict[str, Samples]]:
        """Return the collections of one scrape, and what it would show of them."""
        collected = self._call(collect(self._instance.collectors, CALL_TIMEOUT / 2))
        gathered = merge(self._registry, collected, MetricsSettings())
        failed = [
            f"{runner.collector.name}: {runner.problem}"
            for runner, _ in collected
            if runner.problem and runner.collector.name not in may_fail
        ]
        if failed:
            raise AliaportError("\n  - ".join(["collectors failed:", *failed]))
        self.check_samples()
        return collected, gathered

    def _job(self, name: str) -> JobRunner:
        for runner in self._instance.jobs:
            if runner.job.name == name:
                return runner
        names = ", ".join(runner.job.name for runner in self._instance.jobs)
        raise AliaportError(f"there is no job {name!r}; the plugin has: {names or 'none'}")

    def _call(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        return _call(self._loop, work)


@contextmanager
def run_plugin(
    plugin: type[Plugin[Any]],
    config: Mapping[str, Any] | None = None,
    *,
    name: str = "",
    database_url: str | None = None,
    environment: str = "test",
    clock: Clock | None = None,
    data_folders: Sequence[Path] = (),
    jobs: bool = True,
) -> Iterator[RunningPlugin]:
    """Construct and start `plugin`, yield it, and stop it.

    `config` is what `[plugins.<name>]` would hold. `name` is the entry point's; otherwise the last
    part of the plugin's package without `aliaport_`. `clock` replaces the machine's for the plugin
    and for its jobs' schedules; `data_folders` are those of the context. With
    `jobs=False` its jobs run only when the test calls `job`.
    Raises ConfigError if the options are wrong and AliaportError, which says why, if the plugin is
    rejected, its first start fails, or samples of its metrics are refused.
    """
    package = _package(plugin)
    logged: list[dict[str, Any]] = []
    audited: list[dict[str, Any]] = []
    context = make_context(
        name or package.removeprefix("aliaport_"),
        database_url=database_url,
        environment=environment,
        log=_logger(logged),
        audit=_RecordingAudit(audited),
        clock=clock,
        data_folders=data_folders,
    )
    with _loop_in_thread() as loop:
        started = _start(plugin, dict(config or {}), package, context, jobs)
        instance = _call(loop, started)
        running = RunningPlugin(loop, instance, context.registry, logged, audited)
        try:
            yield running
        finally:
            _call(loop, instance.stop())
        running.check_samples()


@contextmanager
def _loop_in_thread() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="aliaport-testing", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CALL_TIMEOUT)
        loop.close()


def _call(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, ResultT]) -> ResultT:
    return asyncio.run_coroutine_threadsafe(work, loop).result(CALL_TIMEOUT)


def make_context(
    name: str = "example",
    *,
    database_url: str | None = None,
    environment: str = "test",
    log: Logger | None = None,
    audit: Audit | None = None,
    clock: Clock | None = None,
    data_folders: Sequence[Path] = (),
) -> HostContext:
    """Return a context for a plugin that the test constructs itself."""
    return HostContext(
        plugin=name,
        log=log or _logger([]),
        audit=audit or _RecordingAudit([]),
        environment=environment,
        given_url=SecretStr(database_url) if database_url else None,
        data_folders=tuple(data_folders),
        registry=MetricRegistry(MetricsSettings().max_series_per_family),
        clock=clock or SystemClock(),
    )


async def _start(
    plugin: type[Plugin[Any]],
    config: dict[str, Any],
    package: str,
    context: HostContext,
    jobs: bool,
) -> PluginInstance:
    name = context.plugin
    entry = EntryPoint(name, f"{plugin.__module__}:{plugin.__qualname__}", "aliaport.plugins")
    candidate = Candidate("plugins", name, entry, package, "0", required=True, loaded=plugin)
    instance = PluginInstance(candidate, context.log, PluginLimits(), runs_jobs=jobs)
    try:
        await instance.load()
        _raise_if_rejected(instance)
        problems = await instance.configure(Sources({}, {"plugins": {name: config}}, None, {}))
        if problems:
            raise ConfigError(problems)
        await instance.construct(context, context.registry, {})
        await instance.register(context.registry)
        _raise_if_rejected(instance)
        instance.begin()
        await instance.attempted.wait()
        if instance.state is not State.RUNNING:
            raise AliaportError(f"start() failed: {instance.trouble}")
    except AliaportError:
        await instance.stop()
        raise
    return instance


def _package(plugin: type[Plugin[Any]]) -> str:
    """Return the package of the class, or of its base if a test derived the class from it."""
    packages = [base.__module__.partition(".")[0] for base in plugin.__mro__]
    return next((name for name in packages if name.startswith("aliaport_")), packages[0])


def _raise_if_rejected(instance: PluginInstance) -> None:
    if instance.rejection is not None:
        raise AliaportError(str(instance.rejection))


async def _run_probe(runner: ProbeRunner) -> ProbeResult:
    (row,) = await run_probes([runner], runner.timeout + 1.0)
    return row.result


class _RecordingAudit:
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
