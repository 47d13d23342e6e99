"""Turns results into status, HTTP code and body: pure functions, no clock, no loop.

They implement the documented table of how probes decide /ready and /status.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from aliaport import SERVICE
from aliaport.contract.declarations import Scalar, Status
from aliaport.host.discovery import Rejection
from aliaport.host.limits import LimitCount
from aliaport.host.probes import ProbeRow
from aliaport.printable import escape_unprintable

READY_LIMIT = 4_000
"""Bytes of a /ready response; Docker keeps 4,096 of a health check's output."""

FIXED_SECTIONS: Mapping[str, Mapping[str, Scalar]] = {
    "system": {
        "cpu_percent": None,
        "memory_percent": None,
        "memory_available_mb": None,
        "disk_percent": None,
        "disk_free_gb": None,
    },
    "database": {"status": None, "engine": None},
}
"""The keys that /status always has, whatever is installed."""


@dataclass(frozen=True, slots=True)
class PluginRow:
    """One plugin or application, listed whether it runs or not."""

    name: str
    state: str
    distribution: str
    version: str
    kind: str = "plugin"
    rejection: Rejection | None = None
    problem: str = ""
    tasks: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """The input of every response.

    `missing` holds the required plugins that are not running, `late` those whose first start has
    not ended.
    """

    now: float
    probes: Sequence[ProbeRow] = ()
    plugins: Sequence[PluginRow] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    starting: bool = False
    late: Mapping[str, str] = field(default_factory=dict)
    draining: bool = False


def overall(view: View) -> Status:
    """Return the status of the service, according to the table."""
    critical = [row for row in view.probes if row.critical]
    if view.missing or any(not row.works for row in critical):
        return Status.UNHEALTHY
    if any(row.result.status is not Status.HEALTHY for row in view.probes):
        return Status.DEGRADED
    if any(row.state in ("rejected", "starting") for row in view.plugins):
        return Status.DEGRADED
    return Status.HEALTHY


def _ready_error(view: View) -> tuple[str, str] | None:
    """Return why the service is not ready, as code and message, or None."""
    if view.draining:
        return "draining", "the service is stopping; it only finishes the requests in flight"
    if view.starting:
        late = _reasons(view.late)
        return "starting", "the plugins are starting" + (f": {late}" if late else "")
    if view.missing:
        return "plugin_missing", _reasons(view.missing)
    failing = [f"{row.probe.name}: {row.result.code}" for row in view.probes if not row.works]
    return ("probe_failed", _join(failing)) if failing else None


def ready(view: View) -> tuple[int, dict[str, Any]]:
    """Return the HTTP code and body of /ready; every probe of `view` must work."""
    error = _ready_error(view)
    data: dict[str, Any] = {"status": "not_ready" if error else "ready"}
    size, omitted = 500, 0
    for row in sorted(view.probes, key=lambda row: row.works):
        size += len(row.probe.name) + len(row.word) + 6
        if size > READY_LIMIT - 520:
            omitted += 1
        else:
            data[row.probe.name] = row.word
    if omitted:
        data["omitted"] = omitted
    data["timestamp"] = timestamp(view.now)
    if error is None:
        return 200, {"success": True, "data": data}
    code, message = error
    return 503, {"success": False, "data": data, "error": {"code": code, "message": message}}


def health(now: float, version: str) -> dict[str, Any]:
    """Return the body of /health."""
    return {
        "status": "healthy",
        "service": SERVICE,
        "version": version,
        "timestamp": timestamp(now),
    }


def status(
    view: View,
    *,
    version: str,
    environment: str,
    uptime: float,
    operator: bool,
    limits: Iterable[tuple[str, LimitCount]] = (),
) -> dict[str, Any]:
    """Return the body of /status; `operator` says whether the caller may see everything.

    `limits` are those that were reached, by name.
    """
    body: dict[str, Any] = {
        "service": SERVICE,
        "version": version,
        "status": overall(view).value,
        "timestamp": timestamp(view.now),
        "uptime_seconds": int(uptime),
        **_sections(view.probes, operator=operator),
        "environment": environment,
        "probes": [probe_item(row, operator=operator) for row in view.probes],
        "plugins": [_plugin_item(row, operator=operator) for row in view.plugins],
    }
    reached = [
        {"name": name, "count": known.count, "last_at": timestamp(known.last_at)}
        for name, known in limits
    ]
    if operator and reached:
        body["limits"] = reached
    if view.missing:
        body["reason"] = _reasons(view.missing)
    return body


def probe_item(row: ProbeRow, *, operator: bool) -> dict[str, Any]:
    """Return one probe as /status lists it."""
    result = row.result
    item: dict[str, Any] = {
        "name": row.probe.name,
        "plugin": row.plugin,
        "title": row.probe.title or row.probe.name,
        "status": result.status.value,
        "code": result.code,
        "critical": row.critical,
        "duration_ms": None if result.duration_ms is None else round(result.duration_ms, 2),
        "checked_at": timestamp(result.checked_at),
    }
    if result.since is not None:
        item["since"] = timestamp(result.since)
    if operator:
        item["summary"] = result.summary
        item["data"] = dict(result.data)
        if result.where:
            item["where"] = result.where
    return item


def verbose(rows: Sequence[ProbeRow], passed: bool, name: str, *, operator: bool) -> str:
    """Return the text form, as `kubectl get --raw='/readyz?verbose'` prints it."""
    lines = []
    for row in rows:
        summary = escape_unprintable(row.result.summary)  # curl writes the text to a terminal
        detail = f" ({summary})" if operator and summary else ""
        if row.works:
            code = "" if row.result.code == "ok" else f": {row.result.code}"
            lines.append(f"[+]{row.probe.name} ok{code}{detail}")
        else:
            lines.append(f"[-]{row.probe.name} failed: {row.result.code}{detail}")
    lines.append(f"{name} check {'passed' if passed else 'failed'}")
    return "\n".join(lines) + "\n"


def error(code: str, message: str, details: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the body of any other error."""
    return {"success": False, "error": {"code": code, "message": message, **(details or {})}}


def timestamp(seconds: float | None) -> str | None:
    """Return seconds since the epoch as `2025-11-23T10:30:00Z`."""
    return None if seconds is None else _format_second(int(seconds))


@lru_cache(256)
def _format_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _sections(rows: Sequence[ProbeRow], *, operator: bool) -> dict[str, dict[str, Any]]:
    sections: dict[str, dict[str, Any]] = {
        name: dict(keys) for name, keys in FIXED_SECTIONS.items()
    }
    for row in rows:
        probe, name = row.probe, row.probe.section
        if name is None:
            continue
        section = sections.setdefault(name, {})
        if probe.words:
            section["status"] = row.word
        for key, default in probe.section_defaults.items():
            section[key] = row.result.data.get(key, default)
        if operator and not probe.section_defaults:
            section.update(row.result.data)
    return sections


def _plugin_item(row: PluginRow, *, operator: bool) -> dict[str, Any]:
    rejection = row.rejection
    item: dict[str, Any] = {"name": row.name, "kind": row.kind, "state": row.state}
    if rejection is not None:
        item["stage"] = rejection.stage
    if operator:
        item["distribution"] = row.distribution
        item["version"] = row.version
        if row.tasks:
            item["tasks"] = row.tasks
        if rejection is not None:
            item["reason"], item["hint"] = rejection.reason, rejection.hint
        elif row.problem:
            item["reason"] = row.problem
    return item


def _reasons(found: Mapping[str, str]) -> str:
    return _join(f"{name}: {why}" for name, why in sorted(found.items()))


def _join(reasons: Iterable[str], limit: int = 300) -> str:
    """Join the reasons up to `limit` characters and count the rest."""
    text, left = "", 0
    for reason in reasons:
        if left or len(text) + len(reason) > limit:
            left += 1
        else:
            text += ("; " if text else "") + reason
    return f"{text}; and {left} more" if left else text
