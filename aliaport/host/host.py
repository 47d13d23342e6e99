"""All plugins together: found, loaded, started and stopped at once, each in its bulkhead."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution

from pydantic import SecretStr

from aliaport.bulkhead import Bulkhead
from aliaport.collecting import CollectorRunner
from aliaport.context import HostContext
from aliaport.declarations import Probe
from aliaport.discovery import Candidate, Rejection, scan, unknown_names
from aliaport.plugin import Audit, Logger
from aliaport.probing import ProbeRunner, run_probes
from aliaport.recorders import Recorders
from aliaport.settings import ProbeSettings, Settings, Sources, unknown_probes, unknown_tables
from aliaport.unit import ObserveJob, PluginUnit, State

STOP_BUDGET = 5.0
"""Seconds for all plugins together."""

OWN = "aliaport"
"""The name under which the service's own probes stand where a plugin's would."""


@dataclass(frozen=True, slots=True)
class OwnProbes:
    """The service's own probes, run and configured as those of a plugin named `aliaport`."""

    probes: Sequence[Probe]
    log: Logger


class Host:
    """The plugins of this process. Use it on the HTTP loop only.


    `serving` becomes true once every plugin's first start attempt has ended and each critical probe
    has run once.
    """

    def __init__(
        self,
        settings: Settings,
        sources: Sources,
        recorders: Recorders,
        logger_for: Callable[[Candidate], Logger],
        audit_for: Callable[[Candidate], Audit],
        installed: Sequence[Distribution] | None = None,
        own: OwnProbes | None = None,
        observe_job: ObserveJob | None = None,
    ) -> None:
        self.recorders = recorders
        self.serving = False
        self.runners: dict[str, ProbeRunner] = {}
        self._settings = settings
        self._sources = sources
        self._audit_for = audit_for
        self._own = own
        self._own_bulkhead: Bulkhead | None = None
        self._candidates = scan(settings.loading.allow, settings.loading.disable, installed)
        self.units = [
            PluginUnit(candidate, logger_for(candidate), observe=observe_job)
            for candidate in self._candidates
            if candidate.group == "plugins" and candidate.selected
        ]
        self.disabled = [each for each in self._candidates if not each.selected]
        self.apps = [each for each in self._candidates if each.group == "apps" and each.selected]

    @property
    def collectors(self) -> list[CollectorRunner]:
        """The collectors of all running plugins."""
        return [
            collector
            for unit in self.units
            if unit.state is State.RUNNING
            for collector in unit.collectors
        ]

    @property
    def needs_database(self) -> bool:
        """Whether a plugin that takes part cannot work without a database."""
        return any(unit.needs_database for unit in self.units if unit.alive)

    def missing(self) -> dict[str, str]:
        """The required plugins and apps that do not run, each with the reason."""
        installed = {each.name for each in self._candidates if each.selected}
        apps = {each.name for each in self.apps}
        missing = {}
        for name in self._settings.loading.required:
            units = [unit for unit in self.units if unit.name == name]
            if name not in installed:
                missing[name] = "not installed or not selected"
            elif not any(unit.state is State.RUNNING for unit in units) and (
                units or name not in apps
            ):
                missing[name] = units[0].state if units else "rejected"
        return missing

    async def load(self) -> list[str]:
        """Import all plugins and validate their options; return every problem of the config."""
        loading, sources = self._settings.loading, self._sources
        problems = [
            *unknown_names("loading.allow", loading.allow or (), self._candidates),
            *unknown_names("loading.disable", loading.disable, self._candidates),
            *unknown_tables(
                sources,
                [each.name for each in self._candidates if each.group == "plugins"],
                [each.name for each in self._candidates if each.group == "apps"],
            ),
        ]
        await asyncio.gather(*(unit.load() for unit in self.units))
        for found in await asyncio.gather(*(unit.configure(sources) for unit in self.units)):
            problems += found
        return problems

    async def construct(self, database_url: SecretStr | None) -> list[str]:
        """Make all plugins; return what is wrong with the options of their probes."""
        environment = self._settings.environment
        await asyncio.gather(
            *(
                unit.construct(
                    HostContext(
                        unit.name,
                        unit.log,
                        self._audit_for(unit.candidate),
                        environment,
                        database_url,
                        self.recorders,
                    ),
                    self.recorders,
                    dict(self._settings.probes),
                )
                for unit in self.units
            )
        )
        self._take_in_own_probes()
        self._take_in_probes()
        problems = unknown_probes(self._sources, list(self.runners))
        if any(not unit.alive and not unit.probes for unit in self.units):
            for problem in problems:
                self.units[0].log.warning("config.unchecked", problem=problem)
            return []
        return problems

    async def start(self) -> None:
        """Start all plugins, run each critical probe once, and begin to serve."""
        for unit in self.units:
            unit.begin()
        await asyncio.gather(*(unit.attempted.wait() for unit in self.units))
        critical = [runner for runner in self.runners.values() if runner.critical]
        await run_probes(critical, max((runner.timeout for runner in critical), default=0.0))
        self.serving = True

    async def stop(self) -> None:
        """Stop all plugins at once; takes at most STOP_BUDGET."""
        stops = {asyncio.ensure_future(unit.stop()) for unit in self.units}
        if stops:
            await asyncio.wait(stops, timeout=STOP_BUDGET)
        if self._own_bulkhead is not None:
            self._own_bulkhead.close()

    def _take_in_own_probes(self) -> None:
        if self._own is None:
            return
        log = self._own.log
        bulkhead = self._own_bulkhead = Bulkhead(
            OWN, OWN, lambda event, failure: log.error(event, reason=str(failure))
        )
        for probe in self._own.probes:
            policy = self._settings.probes.get(probe.name, ProbeSettings())
            self.runners[probe.name] = ProbeRunner.under_policy(
                probe, OWN, bulkhead, log, policy, closed_as=lambda: None
            )

    def _take_in_probes(self) -> None:
        owners: dict[str, PluginUnit] = {}
        own = {probe.name for probe in self._own.probes} if self._own else set()
        for unit in self.units:
            for runner in unit.probes:
                name = runner.probe.name
                if name in own:
                    unit.reject(_reserved(name))
                    continue
                other = owners.setdefault(name, unit)
                if other is not unit:
                    for each, rival in ((unit, other), (other, unit)):
                        each.reject(_probe_collision(name, rival))
                if name not in self.runners or runner.critical:
                    self.runners[name] = runner


def _reserved(name: str) -> Rejection:
    return Rejection("collision", f"its probe {name!r} is the service's own", "rename the probe")


def _probe_collision(name: str, rival: PluginUnit) -> Rejection:
    return Rejection(
        "collision",
        f"its probe {name!r} has the same name as one of the plugin {rival.name!r}",
        "disable one of the two plugins, or rename the probe",
    )
