"""Inspects plugins without serving: lists them, validates their options, or runs one of them."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import structlog
from pydantic import SecretStr

from aliaport.contract.declarations import Check, Probe, Status
from aliaport.embedded import borrowed_database
from aliaport.errors import AliaportError, ConfigError, StartupError
from aliaport.host.discovery import Candidate, Rejection, unknown_name
from aliaport.host.host import NO_DATABASE, Host, OwnProbes
from aliaport.host.lifecycle import Component
from aliaport.host.probes import run_probes
from aliaport.host.report import probe_item
from aliaport.host.scrape import declare_host_families, gather
from aliaport.logs.command_audit import CommandAudit
from aliaport.logs.health import PROBE as LOG_PROBE
from aliaport.logs.terminal import terminal_logger
from aliaport.metrics.exposition import render_family
from aliaport.metrics.registry import MetricRegistry
from aliaport.plugin import Audit, Logger
from aliaport.preflight import check_machine
from aliaport.settings import (
    MetricsSettings,
    Settings,
    Sources,
    service_fields,
    token_file_problems,
)
from aliaport.web.mounts import MountedApp, reject_shared_prefixes

COLLECT_TIMEOUT = 10.0

_ABSENT_DATABASE = "postgresql://127.0.0.1:1/absent"
"""Given to constructors, which do no I/O, where the service would bring its own database."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One installed plugin or application; `shadowed` says what is used in its place."""

    name: str
    kind: str
    distribution: str
    version: str
    state: str
    stage: str = ""
    reason: str = ""
    hint: str = ""
    shadowed: str = ""

    def as_json(self) -> dict[str, str]:
        """Return all fields."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Inspection:
    """The results of `inspect_plugins`.

    The service does not start with `problems`. With `rejections` of plugins and other `findings`
    it starts, but not as configured. `options` are those of valid plugins, without secrets.
    """

    listed: list[Listed]
    problems: list[str]
    rejections: list[str]
    findings: list[str]
    warnings: list[str]
    options: dict[str, Any]

    @property
    def exit_code(self) -> int:
        """The exit code of a command that reports this."""
        return 2 if self.problems else 1 if self.rejections or self.findings else 0


@dataclass(frozen=True, slots=True)
class RunReport:
    """The results of one run of a plugin.

    `refused` describes samples that are not exported, `problems` a failed start and collectors that
    failed. `healthy` is False if there are some or a probe is unhealthy.
    """

    items: list[dict[str, Any]]
    exposition: str
    refused: list[str]
    problems: list[str]
    healthy: bool


async def inspect_plugins(settings: Settings, sources: Sources) -> Inspection:
    """Do what the service does before it starts anything: import, validate, construct, declare."""
    registry = MetricRegistry(settings.metrics.max_series_per_family)
    declare_host_families(registry)
    host = Host(
        settings,
        sources,
        registry,
        _quiet,
        _audit_for(settings),
        own=OwnProbes([Probe(name=LOG_PROBE, run=Check.healthy)], _quiet()),
    )
    apps = [
        MountedApp(candidate, _quiet(candidate), settings.plugin_limits) for candidate in host.apps
    ]
    problems = [*token_file_problems(settings, sources), *await host.load()]
    for app in apps:
        problems += await app.load(sources)
    reject_shared_prefixes(apps)
    url = settings.database_url
    if url is None and host.needs_database:
        url = SecretStr(_ABSENT_DATABASE)
    if host.lacks_database:
        problems.append(NO_DATABASE)
    problems += await host.construct(url)
    host.close()
    here, occupied = check_machine(
        settings, embedded=settings.open and url is not settings.database_url
    )
    components = [*host.instances, *apps]
    listed = [
        *map(_component_row, components),
        *(_row(entry, "disabled", entry.rejection) for entry in host.disabled),
    ]
    shadowed = {found.distribution: found.problem for found in host.shadowed()}
    rows = [replace(row, shadowed=shadowed.get(row.distribution, "")) for row in listed]
    return Inspection(
        _merge_rows(rows),
        [*problems, *here],
        _rejections(components),
        [
            *(f"{absence.problem}; /ready responds 503 without it" for absence in host.absent),
            *_token_findings(settings),
        ],
        [
            *occupied,
            *host.unchecked,
            *(warning for component in components for warning in component.deprecations),
        ],
        {
            instance.name: instance.shown_options
            for instance in host.instances
            if instance.alive and not instance.problems
        },
    )


async def run_once(settings: Settings, sources: Sources, plugin: str, probe: str) -> RunReport:
    """Start one plugin as the server would, selected or not, run it once, and stop it.

    Raises ConfigError for wrong options and an unknown plugin, StartupError without a database, and
    AliaportError for a rejected plugin and an unknown probe.
    """
    selection = settings.selection.model_copy(
        update={"allow": (plugin,), "disable": (), "required": (plugin,)}
    )
    only = settings.model_copy(update={"selection": selection})
    registry = MetricRegistry(settings.metrics.max_series_per_family)
    declare_host_families(registry)
    host = Host(only, sources, registry, _on_terminal, _audit_for(settings))
    await host.load()
    problems = [problem for instance in host.instances for problem in instance.problems]
    if not host.instances:
        unknown = unknown_name(plugin, host.candidates)
        problems = [unknown or f"{plugin!r} is an application, which only the service runs"]
    if problems:
        raise ConfigError(problems)
    if host.lacks_database:
        raise StartupError(NO_DATABASE)
    with borrowed_database(settings) if host.needs_database else nullcontext() as url:
        try:
            await host.construct(url)
            await host.start()
            return await _report_run(host, plugin, probe)
        finally:
            await host.stop()


async def _report_run(host: Host, plugin: str, probe: str) -> RunReport:
    alive = any(instance.alive for instance in host.instances)
    for instance in host.instances:
        if instance.rejection is not None and not (alive and instance.outranked):
            raise AliaportError(f"{plugin}: {instance.rejection}")
    if probe and probe not in host.runners:
        raise AliaportError(
            f"{plugin} has no probe {probe!r}; it has: {', '.join(host.runners) or 'none'}"
        )
    runners = [runner for name, runner in host.runners.items() if probe in ("", name)]
    budget = max((runner.timeout for runner in runners), default=0.0) + 0.5
    rows = await run_probes(runners, budget)
    problems = [
        f"it did not start: {instance.trouble}" for instance in host.instances if instance.trouble
    ]
    gathered = {}
    if not probe:
        limits = MetricsSettings()
        gathered = await gather(host.registry, host.collectors, limits, COLLECT_TIMEOUT)
        problems += [
            f"the collector {runner.collector.name} failed: {runner.problem}"
            for runner in host.collectors
            if runner.problem
        ]
    families = [
        (host.registry.families[name], samples) for name, samples in sorted(gathered.items())
    ]
    refused = [str(sample) for _, sample in host.registry.refusals.listed()]
    return RunReport(
        [probe_item(row, operator=True) for row in rows],
        "".join(f"{render_family(metric, samples)}\n" for metric, samples in families if samples),
        refused,
        problems,
        not (refused or problems)
        and all(row.result.status is not Status.UNHEALTHY for row in rows),
    )


def _rejections(components: Sequence[Component]) -> list[str]:
    return [
        f"{component.kind} {component.name} ({component.candidate.distribution} "
        f"{component.candidate.version}) is rejected: {component.rejection}"
        for component in components
        if component.rejection is not None
    ]


def _token_findings(settings: Settings) -> list[str]:
    """Return a finding if nobody can see the details of /status."""
    if settings.open or settings.status_token or settings.status_token_file is not None:
        return []
    return [
        "no status token is set, so that /status shows summaries and reasons to nobody; set "
        "ALIAPORT_STATUS_TOKEN or ALIAPORT_STATUS_TOKEN_FILE"
    ]


def _component_row(component: Component) -> Listed:
    if component.alive and component.problems:
        hint = "correct the configuration; the service does not start with it"
        wrong = Rejection("config", "; ".join(component.problems), hint)
        return _row(component.candidate, "misconfigured", wrong)
    state = "loadable" if component.alive else "rejected"
    return _row(component.candidate, state, component.rejection)


def _row(candidate: Candidate, state: str, rejection: Rejection | None) -> Listed:
    return Listed(
        candidate.name,
        "plugin" if candidate.group == "plugins" else "app",
        candidate.distribution,
        candidate.version,
        state,
        *((rejection.stage, rejection.reason, rejection.hint) if rejection else ()),
    )


def _merge_rows(listed: list[Listed]) -> list[Listed]:
    """Sort the rows; merge a plugin and an app of one distribution that share a name.

    If their states differ, the row shows the one that needs attention.
    """
    rows: dict[tuple[str, str], Listed] = {}
    for row in sorted(listed, key=lambda row: (not row.reason, row.kind)):
        other = rows.get((row.name, row.distribution))
        rows[row.name, row.distribution] = (
            row if other is None or other.kind == row.kind else replace(other, kind="plugin + app")
        )
    return sorted(rows.values(), key=lambda row: (row.name, row.distribution))


def _quiet(_candidate: Candidate | None = None) -> Logger:
    logger: Logger = structlog.wrap_logger(structlog.ReturnLogger(), processors=[])
    return logger


def _audit_for(settings: Settings) -> Callable[[Candidate], Audit]:
    service = service_fields(settings)
    return lambda candidate: CommandAudit(settings.log, service, {"plugin": candidate.name})


def _on_terminal(candidate: Candidate) -> Logger:
    return terminal_logger(plugin=candidate.name)
