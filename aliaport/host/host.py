"""Finds, loads, starts and stops all plugins of the process."""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from aliaport.contract.declarations import Probe
from aliaport.host.context import HostContext
from aliaport.host.discovery import OWN, Candidate, Rejection, scan, unknown_names
from aliaport.host.lifecycle import State
from aliaport.host.plugin_instance import ObserveJob, PluginInstance
from aliaport.host.probes import ProbeRunner, run_probes
from aliaport.host.selection import absences
from aliaport.host.shadowing import Shadowed, shadowed
from aliaport.isolation.bulkhead import Bulkhead
from aliaport.metrics.collectors import CollectorRunner
from aliaport.metrics.registry import MetricRegistry
from aliaport.plugin import Audit, Logger
from aliaport.settings import ProbeSettings, Settings, Sources, unknown_probes, unknown_tables
from aliaport.settings.url_file import database_url_file

NO_DATABASE = (
    "DATABASE_URL is not set and a plugin needs a database; set it to "
    "postgresql://user:password@host:5432/name or disable the plugin with "
    "ALIAPORT_SELECTION__DISABLE"
)
"""Why the service does not start without a database where it has none of its own."""


@dataclass(frozen=True, slots=True)
class OwnProbes:
    """The service's own probes, run and configured like those of a plugin named `aliaport`."""

    probes: Sequence[Probe]
    log: Logger


class Host:
    """The plugins of this process. Use it on the HTTP loop only.

    `serving` becomes true once every plugin's first start attempt has ended and each critical probe
    has run once. `candidates` lists what is installed, `absent` required names that are not
    installed or not selected, `unchecked` unknown probes in the settings that a rejected plugin may
    have. `data_folders` are the folders that the service writes to.
    """

    def __init__(
        self,
        settings: Settings,
        sources: Sources,
        registry: MetricRegistry,
        logger_for: Callable[[Candidate], Logger],
        audit_for: Callable[[Candidate], Audit],
        own: OwnProbes | None = None,
        observe_job: ObserveJob | None = None,
    ) -> None:
        self.registry = registry
        self.serving = False
        self.runners: dict[str, ProbeRunner] = {}
        self.unchecked: list[str] = []
        self.data_folders = [settings.log.folder]
        self._settings = settings
        self._sources = sources
        self._logger_for = logger_for
        self._audit_for = audit_for
        self._own = own
        self._url_file = database_url_file(sources, settings.database_url)
        self._own_bulkhead: Bulkhead | None = None
        selection = settings.selection
        self.candidates = scan(selection.allow, selection.disable, required=selection.required)
        self.instances = [
            PluginInstance(
                candidate, logger_for(candidate), settings.plugin_limits, observe=observe_job
            )
            for candidate in self.candidates
            if candidate.group == "plugins" and candidate.selected
        ]
        self.apps = [
            candidate
            for candidate in self.candidates
            if candidate.group == "apps" and candidate.selected
        ]
        self.disabled = [candidate for candidate in self.candidates if not candidate.selected]
        self.absent = absences(selection, self.candidates, sources)

    @property
    def collectors(self) -> list[CollectorRunner]:
        """The collectors of all running plugins."""
        return [
            collector
            for instance in self.instances
            if instance.state is State.RUNNING
            for collector in instance.collectors
        ]

    @property
    def needs_database(self) -> bool:
        """True if a plugin that is not rejected needs a database."""
        return any(instance.needs_database for instance in self.instances if instance.alive)

    @property
    def lacks_database(self) -> bool:
        """True if a plugin needs a database, none is configured, and none is started here."""
        given = self._settings.open or self._settings.database_url is not None
        return self.needs_database and not given

    async def load(self) -> list[str]:
        """Import all plugins and validate their options; return every problem."""
        selection, sources = self._settings.selection, self._sources
        problems = [
            *unknown_names("selection.allow", selection.allow or (), self.candidates),
            *unknown_names("selection.disable", selection.disable, self.candidates),
            *unknown_tables(
                sources,
                [entry.name for entry in self.candidates if entry.group == "plugins"],
                [entry.name for entry in self.candidates if entry.group == "apps"],
            ),
        ]
        await asyncio.gather(*(instance.load() for instance in self.instances))
        for found in await asyncio.gather(
            *(instance.configure(sources) for instance in self.instances)
        ):
            problems += found
        return problems

    def shadowed(self) -> list[Shadowed]:
        """Return what is used in place of an installed plugin or application."""
        return shadowed(self.candidates)

    def context(self, candidate: Candidate, database_url: SecretStr | None) -> HostContext:
        """Return the context of one plugin or application."""
        return HostContext(
            plugin=candidate.name,
            log=self._logger_for(candidate),
            audit=self._audit_for(candidate),
            environment=self._settings.environment,
            given_url=database_url,
            data_folders=tuple(Path(os.path.realpath(folder)) for folder in self.data_folders),
            registry=self.registry,
            url_file=self._url_file,
        )

    async def construct(self, database_url: SecretStr | None) -> list[str]:
        """Construct all plugins; return every problem with the options of their probes."""
        self._add_own_probes()  # first: plugins may take the last threads
        await asyncio.gather(
            *(
                instance.construct(
                    self.context(instance.candidate, database_url),
                    self.registry,
                    dict(self._settings.probes),
                )
                for instance in self.instances
            )
        )
        for instance in self._by_rank():  # one after the other: the first keeps a name
            await instance.register(self.registry)
        self._add_probes()
        declared = {runner.probe.name for instance in self.instances for runner in instance.probes}
        problems = unknown_probes(self._sources, sorted(declared | {*self.runners}))
        # The probes of a plugin that could not declare them are unknown.
        if any(
            not instance.probes and (not instance.alive or instance.problems)
            for instance in self.instances
        ):
            self.unchecked = problems
            for problem in problems:
                self.instances[0].log.warning("configuration.unchecked", problem=problem)
            return []
        return problems

    async def start(self) -> None:
        """Start all plugins, run each critical probe once, then set `serving`."""
        for instance in self.instances:
            instance.begin()
        await asyncio.gather(*(instance.attempted.wait() for instance in self.instances))
        critical = [runner for runner in self.runners.values() if runner.critical]
        await run_probes(critical, max((runner.timeout for runner in critical), default=0.0))
        self.serving = True

    async def stop(self) -> None:
        """Stop all plugins at once; takes at most `plugin_limits.stop_all_timeout`."""
        stops = {asyncio.ensure_future(instance.stop()) for instance in self.instances}
        if stops:
            await asyncio.wait(stops, timeout=self._settings.plugin_limits.stop_all_timeout)
        if self._own_bulkhead is not None:
            self._own_bulkhead.close()

    def close(self) -> None:
        """Stop the threads of plugins that were not started."""
        for instance in self.instances:
            instance.close()
        if self._own_bulkhead is not None:
            self._own_bulkhead.close()

    def _add_own_probes(self) -> None:
        if self._own is None:
            return
        log = self._own.log
        bulkhead = self._own_bulkhead = Bulkhead(
            OWN, OWN, lambda event, failure: log.error(event, reason=str(failure))
        )
        for probe in self._own.probes:
            policy = self._settings.probes.get(probe.name, ProbeSettings())
            self.runners[probe.name] = ProbeRunner.under_policy(
                probe, OWN, bulkhead, log, policy, unavailable_result=lambda: None
            )

    def _by_rank(self) -> list[PluginInstance]:
        return sorted(self.instances, key=lambda instance: instance.candidate.rank, reverse=True)

    def _add_probes(self) -> None:
        self._settle_probe_names()
        chosen: dict[str, tuple[bool, bool]] = {}
        for instance in self.instances:
            if instance.outranked:
                continue
            for runner in instance.probes:
                name, precedence = runner.probe.name, (instance.alive, runner.critical)
                if name not in self.runners or precedence > chosen.get(name, precedence):
                    chosen[name], self.runners[name] = precedence, runner

    def _settle_probe_names(self) -> None:
        """Reject plugins whose probes have names of others: of two, the one of the lower rank."""
        own = {probe.name for probe in self._own.probes} if self._own else set()
        owners: dict[str, PluginInstance] = {}
        for instance in self._by_rank():
            names = [runner.probe.name for runner in instance.probes] if instance.alive else []
            rivals = [(name, owners[name]) for name in names if name in owners]
            above = [
                (name, rival)
                for name, rival in rivals
                if rival.candidate.rank > instance.candidate.rank
            ]
            if reserved := own.intersection(names):
                instance.reject(_reserved_name(min(reserved)))
            elif above:
                instance.reject(_probe_collision(*above[0], outranked=True))
            elif rivals:
                instance.reject(_probe_collision(*rivals[0]))
                for name, rival in rivals:
                    if rival.alive:
                        rival.reject(_probe_collision(name, instance))
            if not above:
                owners.update(dict.fromkeys(names, instance))


def _reserved_name(name: str) -> Rejection:
    reason = f"its probe {name!r} has the same name as one of the service's own"
    return Rejection("collision", reason, "rename the probe")


def _probe_collision(name: str, rival: PluginInstance, *, outranked: bool = False) -> Rejection:
    reason = f"its probe {name!r} has the same name as a probe of the plugin {rival.name!r}"
    if outranked:
        reason += ", which keeps it because it is required, bundled or named in selection.allow"
    hint = "disable one of the two plugins, or rename the probe"
    return Rejection("collision", reason, hint, outranked)
