"""The list of monitors, `monitors.toml`."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from json_http import ScriptError


@dataclass(frozen=True)
class Monitor:
    """One page to check; monitors.toml explains the fields."""

    name: str
    url: str
    monitor: str = ""
    module: str = ""
    interval: int = 0
    timeout: int = 30
    statuses: tuple[int, ...] = (200,)
    keyword: str = ""
    contacts: tuple[str, ...] = ()

    @property
    def inside(self) -> bool:
        """Return whether blackbox exporter checks the page."""
        return bool(self.module)

    @property
    def outside(self) -> bool:
        """Return whether UptimeRobot checks the page."""
        return self.interval > 0


def read(file: Path) -> list[Monitor]:
    """Read the monitors from a file. Raises ScriptError."""
    try:
        rows = tomllib.loads(file.read_text(encoding="utf-8-sig")).get("monitors", [])
    except (OSError, ValueError) as error:
        raise ScriptError(f"{file}: cannot be read: {error}") from error
    monitors = [_monitor(file, number, row) for number, row in enumerate(rows, 1)]
    if not monitors:
        raise ScriptError(f"{file}: has no [[monitors]]")
    for key in ("name", "monitor"):
        values = [value for monitor in monitors if (value := getattr(monitor, key))]
        for value in values:
            if values.count(value) > 1:
                raise ScriptError(f"{file}: {key} {value!r} is used twice; make it unique")
    return monitors


def _monitor(file: Path, number: int, row: dict[str, Any]) -> Monitor:
    where = f"{file}, monitor {number} ({row.get('name', 'without a name')})"
    known = {field.name: field for field in fields(Monitor)}
    for key, value in row.items():
        if key not in known:
            raise ScriptError(f"{where}: {key} is unknown; use one of {', '.join(known)}")
        expected = type(getattr(Monitor, key, ""))
        kind = list if expected is tuple else expected
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ScriptError(f"{where}: {key} has a value of the wrong type: {value!r}")
    try:
        monitor = Monitor(
            **{key: tuple(item) if isinstance(item, list) else item for key, item in row.items()}
        )
    except TypeError:
        raise ScriptError(f"{where}: needs a name and a url") from None
    parts = urlsplit(monitor.url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ScriptError(f"{where}: write the url as https://host/path, without a password")
    if bool(monitor.module) != bool(monitor.monitor):
        raise ScriptError(f"{where}: set both monitor and module, or neither")
    if not (monitor.inside or monitor.outside):
        raise ScriptError(f"{where}: nothing checks it; set a module or an interval")
    if monitor.outside and not 30 <= monitor.interval <= 86_400:
        raise ScriptError(f"{where}: interval must be from 30 to 86400 seconds")
    if monitor.outside and not 1 <= monitor.timeout <= 60:
        raise ScriptError(f"{where}: timeout must be from 1 to 60 seconds")
    return monitor
