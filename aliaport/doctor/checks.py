"""What a check is, and what it may use."""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from aliaport.doctor.findings import Finding, not_checked
from aliaport.doctor.http import Site
from aliaport.doctor.places import Places


@dataclass(frozen=True, slots=True)
class Visit:
    """One run of doctor."""

    places: Places
    session: aiohttp.ClientSession
    tls: ssl.SSLContext

    def service(self, *, detailed: bool = False, runbook: str = "AliaportDown") -> Site:
        """The service; `detailed` its listener with /status and /metrics, with the token."""
        places = self.places
        base = places.detailed_url if detailed else places.url
        todo = f"look whether the service runs and whether {base} is its address"
        token = places.status_token if detailed else ""
        return Site(self.session, places.timeout, base, todo, runbook, token)

    def prometheus(self) -> Site:
        """The Prometheus that was named."""
        return self._watcher("Prometheus", self.places.prometheus, "deploy/prometheus")

    def alertmanager(self) -> Site:
        """The Alertmanager that was named."""
        return self._watcher("Alertmanager", self.places.alertmanager, "deploy/alertmanager")

    def grafana(self) -> Site:
        """The Grafana that was named, with its token."""
        todo = "look whether Grafana runs there, and whether the token is a valid one of it"
        base, token = self.places.grafana, self.places.grafana_token
        return Site(self.session, self.places.timeout, base, todo, token=token)

    def _watcher(self, name: str, base: str, folder: str) -> Site:
        todo = f"look whether {name} runs there: {folder}/README.md tells how it is started"
        return Site(self.session, self.places.timeout, base, todo, "Watchdog")


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the checklist. `id` is stable; `look` raises Trouble or returns what it found.

    `needs` are names of Places that must be set, each with the option that sets it.
    """

    id: str
    title: str
    look: Callable[[Visit], Awaitable[Finding]]
    needs: tuple[tuple[str, str], ...] = ()

    def missing(self, places: Places) -> Finding | None:
        """Why it is not checked at all, if something that it needs was not named."""
        options = [option for name, option in self.needs if not getattr(places, name)]
        return not_checked(f"not asked for: give {' and '.join(options)}") if options else None


PROMETHEUS = (("prometheus", "--prometheus"),)
ALERTMANAGER = (("alertmanager", "--alertmanager"),)
GRAFANA = (("grafana", "--grafana"),)
WITH_GRAFANA_TOKEN = (*GRAFANA, ("grafana_token", "--grafana-token-file"))
UPTIMEROBOT = (("uptimerobot_token", "--uptimerobot-token-file"),)
