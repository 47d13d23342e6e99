"""What the handlers share: the plugins, the settings, the drain and who may see what."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiohttp import web

from aliaport import __version__
from aliaport.contract.declarations import Status
from aliaport.host.host import Host
from aliaport.host.probes import ProbeResult, ProbeRunner, run_probes
from aliaport.host.report import PluginRow, ProbeRow, View
from aliaport.host.scrape import Metrics
from aliaport.logs import RequestLog
from aliaport.metrics.http import HttpMetrics
from aliaport.plugin import Logger
from aliaport.settings import Settings
from aliaport.web.auth import OperatorAuth
from aliaport.web.mounts import MountedApp


@dataclass(slots=True)
class Drain:
    """Whether the service is leaving; `ends_at` is the monotonic time of closing the listeners."""

    active: bool = False
    ends_at: float = 0.0

    def retry_after(self) -> int:
        """Seconds after which another replica should have been found, at least 1."""
        return max(1, round(self.ends_at - time.monotonic()))


@dataclass(slots=True)
class AppState:
    """The running service as its handlers see it."""

    settings: Settings
    host: Host
    metrics: Metrics
    http: HttpMetrics
    auth: OperatorAuth
    log: Logger
    requests: RequestLog
    apps: Sequence[MountedApp]
    drain: Drain = field(default_factory=Drain)
    started: float = field(default_factory=time.monotonic)
    version: str = __version__

    @property
    def starting(self) -> bool:
        """Whether plugins or apps are in their first start."""
        return not self.host.serving or not all(app.attempted.is_set() for app in self.apps)

    async def rows(self, runners: Sequence[ProbeRunner], budget: float) -> list[ProbeRow]:
        """Run these probes and return a row for each."""
        results = await run_probes(runners, budget)
        return [_row(runner, results[runner.probe.name]) for runner in runners]

    def known_rows(self, runners: Sequence[ProbeRunner]) -> list[ProbeRow]:
        """Return what is known of these probes, without running them."""
        unknown = ProbeResult(Status.UNHEALTHY, "starting")
        return [_row(runner, runner.known or unknown) for runner in runners]

    def view(self, rows: Sequence[ProbeRow]) -> View:
        """Return what an answer is made from."""
        instances = [
            PluginRow(
                instance.name,
                instance.state.value,
                instance.candidate.distribution,
                instance.candidate.version,
                rejection=instance.rejection,
                problem=instance.problem,
                tasks=instance.tasks,
            )
            for instance in self.host.instances
        ]
        return View(
            now=time.time(),
            probes=rows,
            plugins=[*instances, *(app.row() for app in self.apps)],
            missing=self.missing(),
            starting=self.starting,
            draining=self.drain.active,
        )

    def missing(self) -> dict[str, str]:
        """The required plugins and apps that do not run, each with the reason."""
        missing = self.host.missing()
        required = self.settings.loading.required
        for app in self.apps:
            if app.name in required and not app.running:
                missing[app.name] = app.row().state
        return missing


def _row(runner: ProbeRunner, result: ProbeResult) -> ProbeRow:
    return ProbeRow(runner.probe, runner.plugin, runner.critical, result)


STATE = web.AppKey("state", AppState)
