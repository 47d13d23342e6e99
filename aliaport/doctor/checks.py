"""Defines a check, and the run whose endpoints it uses."""

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
        """Return the service or, if `detailed`, its listener of /status and /metrics."""
        targets = self.targets
        base = targets.detailed_url if detailed else targets.url
        todo = f"check that the service is running and that {base} is its address"
        token = targets.status_token if detailed else ""
        return Endpoint(self.session, targets.timeout, base, todo, runbook, token)

    def prometheus(self) -> Endpoint:
        """Return the Prometheus to check."""
        return self._watcher("Prometheus", self.targets.prometheus, "deploy/prometheus")

    def alertmanager(self) -> Endpoint:
        """Return the Alertmanager to check."""
        return self._watcher("Alertmanager", self.targets.alertmanager, "deploy/alertmanager")

    def grafana(self) -> Endpoint:
        """Return the Grafana to check, with its token."""
        todo = "check that Grafana is running there, and that the token is valid"
        base, token = self.targets.grafana, self.targets.grafana_token
        return Endpoint(self.session, self.targets.timeout, base, todo, token=token)

    def _watcher(self, name: str, base: str, folder: str) -> Endpoint:
        todo = f"check that {name} is running there; {folder}/README.md describes how to start it"
        return Endpoint(self.session, self.targets.timeout, base, todo, "Watchdog")


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the checklist. `id` is stable; `look` returns a finding or raises CheckFailed.

    `needs` lists the fields of Targets that must be set, each with the option that sets it.
    """

    id: str
    title: str
    look: Callable[[Run], Awaitable[Finding]]
    needs: tuple[tuple[str, str], ...] = ()

    def missing(self, targets: Targets) -> Finding | None:
        """Return why the check is skipped, if something that it needs was not named."""
        options = [option for name, option in self.needs if not getattr(targets, name)]
        return (
            not_checked(f"skipped; to check it, pass {' and '.join(options)}") if options else None
        )


PROMETHEUS = (("prometheus", "--prometheus"),)
ALERTMANAGER = (("alertmanager", "--alertmanager"),)
GRAFANA = (("grafana", "--grafana"),)
WITH_GRAFANA_TOKEN = (*GRAFANA, ("grafana_token", "--grafana-token-file"))
UPTIMEROBOT = (("uptimerobot_token", "--uptimerobot-token-file"),)
