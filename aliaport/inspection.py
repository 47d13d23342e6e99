"""Inspects plugins without serving: lists them, validates their options, or runs one of them."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import structlog

from aliaport.contract.declarations import Status
from aliaport.embedded import borrowed_database
from aliaport.errors import AliaportError, ConfigError
from aliaport.host.discovery import Candidate, Rejection
from aliaport.host.host import Host
from aliaport.host.lifecycle import Component
from aliaport.host.probes import run_probes
from aliaport.host.report import probe_item
from aliaport.host.scrape import gather
from aliaport.logs.command_audit import CommandAudit
from aliaport.logs.terminal import terminal_logger
from aliaport.metrics.exposition import render_family
from aliaport.metrics.registry import MetricRegistry
from aliaport.plugin import Audit, Logger
from aliaport.settings import (
    MetricsSettings,
    Settings,
    Sources,
    masked,
    service_fields,
    token_file_problems,
)
from aliaport.web.mounts import MountedApp

COLLECT_TIMEOUT = 10.0


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
    """The findings of `inspect_plugins`; `options` are those of valid plugins, without secrets."""

    listed: list[Listed] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    deprecations: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunReport:
    """The results of one run of a plugin.

    `refused` describes samples that are not exported. `healthy` is False if there are some or a
    probe is unhealthy.
    """

    items: list[dict[str, Any]]
    exposition: str
    refused: list[str]
    healthy: bool


async def inspect_plugins(settings: Settings, sources: Sources) -> Inspection:
    """Import everything selected and validate the options; start nothing."""
    registry = MetricRegistry(settings.metrics.max_series_per_family)
    host = Host(settings, sources, registry, _quiet, _audit_for(settings))
    inspection = Inspection()
    inspection.problems.extend(token_file_problems(settings, sources))
    inspection.problems.extend(await host.load())
    for instance in host.instances:
        inspection.listed.append(_component_row(instance))
        if instance.alive:
            inspection.options[instance.name] = masked(instance.options)
    apps = [
        MountedApp(candidate, _quiet(candidate), settings.plugin_limits) for candidate in host.apps
    ]
    for app in apps:
        inspection.problems.extend(await app.load(sources))
        inspection.listed.append(_component_row(app))
    for component in (*host.instances, *apps):
        inspection.deprecations.extend(component.deprecations)
    for candidate in host.disabled:
        inspection.listed.append(_row(candidate, "disabled", candidate.rejection))
    shadowed = {found.distribution: found.problem for found in host.shadowed()}
    rows = [replace(row, shadowed=shadowed.get(row.distribution, "")) for row in inspection.listed]
    return replace(inspection, listed=_merge_rows(rows))


async def run_once(settings: Settings, sources: Sources, plugin: str, probe: str) -> RunReport:
    """Start one plugin as the server would, run its probes and collectors, and stop it.

    Raises ConfigError, StartupError, and AliaportError for an unknown plugin or probe.
    """
    selection = settings.selection.model_copy(update={"allow": (plugin,), "required": ()})
    only = settings.model_copy(update={"selection": selection})
    registry = MetricRegistry(settings.metrics.max_series_per_family)
    host = Host(only, sources, registry, _on_terminal, _audit_for(settings))
    problems = [
        problem.removeprefix("selection.allow: ")  # set here, not by the operator
        for problem in await host.load()
        if "selection.allow" in problem or plugin in problem
    ]
    if problems:
        raise ConfigError(problems)
    with borrowed_database(settings) if host.needs_database else nullcontext() as url:
        try:
            await host.construct(url)
            await host.start()
            return await _report_run(host, plugin, probe)
        finally:
            await host.stop()


async def _report_run(host: Host, plugin: str, probe: str) -> RunReport:
    for instance in host.instances:
        if instance.rejection is not None:
            raise AliaportError(f"{plugin}: {instance.rejection}")
    if probe and probe not in host.runners:
        raise AliaportError(
            f"{plugin} has no probe {probe!r}; it has: {', '.join(host.runners) or 'none'}"
        )
    runners = [runner for name, runner in host.runners.items() if probe in ("", name)]
    budget = max((runner.timeout for runner in runners), default=0.0) + 0.5
    rows = await run_probes(runners, budget)
    gathered = {}
    if not probe:
        limits = MetricsSettings()
        gathered = await gather(host.registry, host.collectors, limits, COLLECT_TIMEOUT)
    families = [
        (host.registry.families[name], samples) for name, samples in sorted(gathered.items())
    ]
    refused = [str(sample) for _, sample in host.registry.refusals.listed()]
    return RunReport(
        [probe_item(row, operator=True) for row in rows],
        "".join(f"{render_family(metric, samples)}\n" for metric, samples in families if samples),
        refused,
        not refused and all(row.result.status is not Status.UNHEALTHY for row in rows),
    )


def _component_row(component: Component) -> Listed:
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
    for row in sorted(listed, key=lambda row: (row.state != "rejected", row.kind)):
        other = rows.get((row.name, row.distribution))
        rows[row.name, row.distribution] = (
            row if other is None or other.kind == row.kind else replace(other, kind="plugin + app")
        )
    return sorted(rows.values(), key=lambda row: (row.name, row.distribution))


def _quiet(_candidate: Candidate) -> Logger:
    logger: Logger = structlog.wrap_logger(structlog.ReturnLogger(), processors=[])
    return logger


def _audit_for(settings: Settings) -> Callable[[Candidate], Audit]:
    service = service_fields(settings)
    return lambda candidate: CommandAudit(settings.log, service, {"plugin": candidate.name})


def _on_terminal(candidate: Candidate) -> Logger:
    return terminal_logger(plugin=candidate.name)
