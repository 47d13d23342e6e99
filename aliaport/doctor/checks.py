"""What a check is, and what it may use."""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from aliaport.doctor.findings import Finding, not_checked
from aliaport.doctor.http import Endpoint
from aliaport.doctor.targets import Targets


@dataclass(frozen=True, slots=True)
class Run:
    """One run of doctor."""

    targets: Targets
    session: aiohttp.ClientSession
    tls: ssl.SSLContext

    def service(self, *, detailed: bool = False, runbook: str = "AliaportDown") -> Endpoint:
        """The service; `detailed` its listener with /status and /metrics, with the token."""
        targets = self.targets
        base = targets.detailed_url if detailed else targets.url
        todo = f"look whether the service runs and whether {base} is its address"
        token = targets.status_token if detailed else ""
        return Endpoint(self.session, targets.timeout, base, todo, runbook, token)

    def prometheus(self) -> Endpoint:
        """The Prometheus that was named."""
        return self._watcher("Prometheus", self.targets.prometheus, "deploy/prometheus")

    def alertmanager(self) -> Endpoint:
        """The Alertmanager that was named."""
        return self._watcher("Alertmanager", self.targets.alertmanager, "deploy/alertmanager")

    def grafana(self) -> Endpoint:
        """The Grafana that was named, with its token."""
        todo = "look whether Grafana runs there, and whether the token is a valid one of it"
        base, token = self.targets.grafana, self.targets.grafana_token
        return Endpoint(self.session, self.targets.timeout, base, todo, token=token)

    def _watcher(self, name: str, base: str, folder: str) -> Endpoint:
        todo = f"look whether {name} runs there: {folder}/README.md tells how it is started"
        return Endpoint(self.session, self.targets.timeout, base, todo, "Watchdog")


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the checklist. `id` is stable; `look` returns a finding or raises CheckFailed.

    `needs` are names of Targets that must be set, each with the option that sets it.
    """

    id: str
    title: str
    look: Callable[[Run], Awaitable[Finding]]
    needs: tuple[tuple[str, str], ...] = ()

    def missing(self, targets: Targets) -> Finding | None:
        """Why it is not checked at all, if something that it needs was not named."""
        options = [option for name, option in self.needs if not getattr(targets, name)]
        return not_checked(f"not asked for: give {' and '.join(options)}") if options else None


PROMETHEUS = (("prometheus", "--prometheus"),)
ALERTMANAGER = (("alertmanager", "--alertmanager"),)
GRAFANA = (("grafana", "--grafana"),)
WITH_GRAFANA_TOKEN = (*GRAFANA, ("grafana_token", "--grafana-token-file"))
UPTIMEROBOT = (("uptimerobot_token", "--uptimerobot-token-file"),)
