"""The state that the handlers share: plugins, settings, the drain, operator authentication."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from aliaport import __version__
from aliaport.host.host import Host
from aliaport.host.lifecycle import Component, State
from aliaport.host.limits import LimitLog
from aliaport.host.probes import ProbeRow
from aliaport.host.report import PluginRow, View
from aliaport.host.scrape import Metrics
from aliaport.logs import RequestLog
from aliaport.metrics.http import HttpMetrics
from aliaport.plugin import Logger
from aliaport.settings import Settings
from aliaport.web.auth import OperatorAuth
from aliaport.web.compression import Compressor
from aliaport.web.crowds import Crowds
from aliaport.web.drain import Drain
from aliaport.web.mounts import MountedApp

if TYPE_CHECKING:
    from aliaport.web.connection_pool import ConnectionPool


@dataclass(slots=True)
class AppState:
    """The running service as its handlers see it.

    Responses of applications are compressed in a thread of their own, so that none delays a scrape.
    """

    settings: Settings
    host: Host
    metrics: Metrics
    http: HttpMetrics
    auth: OperatorAuth
    log: Logger
    requests: RequestLog
    apps: Sequence[MountedApp]
    limits: LimitLog
    pools: dict[str, "ConnectionPool"] = field(default_factory=dict)
    drain: Drain = field(default_factory=Drain)
    crowds: Crowds = field(default_factory=Crowds)
    compressor: Compressor = field(default_factory=lambda: Compressor("compression"))
    app_compressor: Compressor = field(default_factory=lambda: Compressor("app-compression"))
    started: float = field(default_factory=time.monotonic)
    version: str = __version__

    @property
    def starting(self) -> bool:
        """True while plugins or apps are in their first start."""
        return not self.host.serving or not all(app.attempted.is_set() for app in self.apps)

    def late(self) -> dict[str, str]:
        """Return the plugins and apps whose first start has not ended, each with its state."""
        return {
            component.name: component.status
            for component in self.components
            if not component.attempted.is_set()
        }

    @property
    def components(self) -> list[Component]:
        """The selected plugins, then the selected apps."""
        return [*self.host.instances, *self.apps]

    def view(self, rows: Sequence[ProbeRow], plugins: Sequence[PluginRow] = ()) -> View:
        """Return the input of a response about these probes and plugins."""
        return View(
            now=time.time(),
            probes=rows,
            plugins=plugins,
            missing=self.missing(),
            starting=self.starting,
            late=self.late() if self.starting else {},
            draining=self.drain.active,
        )

    def missing(self) -> dict[str, str]:
        """Return the required plugins and apps that are not running, each with the reason."""
        missing = {absence.name: absence.reason for absence in self.host.absent}
        for component in self.components:
            needed = component.candidate.required and not component.outranked
            if needed and component.state is not State.RUNNING:
                missing[component.name] = component.status
        return missing


STATE = web.AppKey("state", AppState)
