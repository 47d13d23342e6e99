"""The audit log of a command beside the service: its own file, created with the first event."""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from aliaport.logs.audit import Audit, AuditWriter
from aliaport.logs.files import LogFile
from aliaport.logs.lines import LineFormat
from aliaport.logs.pipeline import DATASETS, MEGABYTE
from aliaport.logs.writer import opener
from aliaport.settings import LogSettings

_NAME = "audit.log"


class CommandAudit:
    """The `aliaport.plugin.Audit` of a command.

    Only the service writes audit.log. This file is named like a rotated one, so that it is shipped
    and kept in the same way.
    """

    def __init__(
        self, settings: LogSettings, service: Mapping[str, str], fields: Mapping[str, Any]
    ) -> None:
        self._settings = settings
        self._service = service
        self._fields = fields

    def record(self, action: str, /, **fields: Any) -> None:
        """Record an action and wait for the disk; see `aliaport.plugin.Audit`."""
        self._audit.record(action, **fields)

    async def arecord(self, action: str, /, **fields: Any) -> None:
        """Record as `record` does, for code on an event loop."""
        await self._audit.arecord(action, **fields)

    @cached_property
    def _audit(self) -> Audit:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = self._settings.folder / f"{_NAME}.{stamp}-{secrets.token_hex(4)}"
        lines = LineFormat(DATASETS[_NAME], self._service)
        file = LogFile(path, opener(lines), self._settings.rotate_mb * MEGABYTE)
        writer = AuditWriter(file, lines, copy=None, rotated=lambda: None)
        return Audit(writer, self._fields)
