"""The table `[log]`: where events are logged, and how long they are kept."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from aliaport.settings.table import Table


class LogSettings(Table):
    """`[log]`."""

    folder: Path = Field(
        Path("logs"), description="Folder of app.log, api.log, error.log and audit.log."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Write events of this level and above."
    )
    stdout: bool = Field(
        default=False,
        description="Also write every line to standard output, as JSON. A terminal always shows "
        "readable lines instead.",
    )
    probe_requests: bool = Field(
        default=False,
        description="Log every probe and scrape request in api.log; otherwise only failed, slow "
        "and changed ones.",
    )
    slow_request_ms: int = Field(
        1000,
        ge=1,
        description="A probe or scrape request that takes this many milliseconds counts as slow.",
    )
    rotate_mb: int = Field(
        100,
        ge=1,
        le=10_000,
        description="Rotate a log file at this size in MB, and daily in any case.",
    )
    keep_days: int = Field(
        30, ge=1, description="Keep rotated app, api and error logs for this many days."
    )
    keep_audit_days: int = Field(
        90, ge=1, description="Keep rotated audit logs for this many days."
    )
    max_total_mb: int = Field(
        5000,
        ge=10,
        description="Delete the oldest log files early if together they exceed this size in MB.",
    )
