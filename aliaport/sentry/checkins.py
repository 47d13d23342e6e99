"""Check-ins of jobs that have a schedule: Sentry raises an alert if one is missing."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aliaport.contract.declarations import Job, Schedule

MAX_SLUG = 50
"""Characters that Sentry allows in the name of a monitor."""


@dataclass(frozen=True, slots=True)
class CheckIn:
    """A check-in. `status` is ok or error, `seconds` the duration of the run, if one completed."""

    slug: str
    status: str
    seconds: float | None
    monitor: dict[str, Any]


class JobCheckIns:
    """Watches one job; use it on the HTTP loop only.

    It reports the work of each due time once, because the job may run every few seconds. A run that
    ends PENDING reports nothing. Runs are therefore not announced when they begin: Sentry treats an
    announced run that never ends as hung. A later ok replaces the error of a due time.
    """

    def __init__(
        self, plugin: str, job: Job, schedule: Schedule, send: Callable[[CheckIn], None]
    ) -> None:
        self._slug = monitor_slug(plugin, job.name)
        self._monitor = monitor_config(job, schedule)
        self._schedule = schedule
        self._send = send
        self._due: datetime | None = None
        self._status = ""

    def ended(self, outcome: str, began: datetime, seconds: float) -> None:
        """Record a run: its outcome as JobRunner counts it, when it began and how long it took."""
        if outcome != "pending":
            status = "ok" if outcome == "succeeded" else "error"
            self._report(self._schedule.last_due(began), status, seconds)

    def missed(self, due: datetime) -> None:
        """Record that the work due at `due` was not done within the margin."""
        self._report(due, "error", None)

    def _report(self, due: datetime, status: str, seconds: float | None) -> None:
        if self._due is not None and due < self._due:
            return
        if due == self._due and self._status in (status, "ok"):
            return
        self._due, self._status = due, status
        self._send(CheckIn(self._slug, status, seconds, self._monitor))


def monitor_slug(plugin: str, job: str) -> str:
    """Return the monitor's name, `aliaport-<plugin>-<job>`; a hash shortens a long one."""
    slug = f"aliaport-{plugin}-{job}"
    if len(slug) <= MAX_SLUG:
        return slug
    digest = hashlib.sha256(slug.encode()).hexdigest()[:8]
    return f"{slug[: MAX_SLUG - 9]}-{digest}"


def monitor_config(job: Job, schedule: Schedule) -> dict[str, Any]:
    """Return the settings of Sentry's monitor; its times are in whole minutes, at least 1."""
    return {
        "schedule": {"type": "crontab", "value": schedule.crontab},
        "timezone": schedule.time_zone,
        "checkin_margin": max(1, math.ceil(schedule.margin / 60)),
        "max_runtime": max(1, math.ceil(job.timeout / 60)),
        "failure_issue_threshold": 1,
        "recovery_threshold": 1,
    }
