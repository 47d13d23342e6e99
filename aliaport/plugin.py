"""The plugin API: the base class, the declarations and the services of the host.

This module imports pydantic and the standard library, never the server.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from aliaport.contract.declarations import (
    Check,
    Collector,
    Job,
    JobResult,
    Metric,
    MetricKind,
    Probe,
    Sample,
    Scalar,
    Schedule,
    Status,
)
from aliaport.contract.families import (
    ACTIVE_USERS,
    CACHE_HIT_RATE,
    CURRENCY_SYNC_FAILURE,
    CURRENCY_SYNC_SUCCESS,
    DB_CONNECTIONS,
    GATE_LOGS,
    WORK_ORDERS,
)
from aliaport.contract.protocols import Audit, Clock, Context, Counter, Gauge, Histogram, Logger
from aliaport.errors import AuditError

__all__ = [
    "ACTIVE_USERS",
    "API_VERSION",
    "CACHE_HIT_RATE",
    "CURRENCY_SYNC_FAILURE",
    "CURRENCY_SYNC_SUCCESS",
    "DB_CONNECTIONS",
    "GATE_LOGS",
    "WORK_ORDERS",
    "Audit",
    "AuditError",
    "Check",
    "Clock",
    "Collector",
    "Context",
    "Counter",
    "Gauge",
    "Histogram",
    "Job",
    "JobResult",
    "Logger",
    "Metric",
    "MetricKind",
    "Plugin",
    "PluginConfig",
    "Probe",
    "Sample",
    "Scalar",
    "Schedule",
    "Status",
]

API_VERSION = (1, 0)
"""The version of this API; in `Plugin.api`, a plugin declares the one that it was written for."""


class PluginConfig(BaseModel):
    """Base of a plugin's options: a frozen pydantic model that rejects unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True
    )

    renamed_options: ClassVar[Mapping[str, str]] = {}
    """Old names of options that are still accepted, and the new ones; each use is a warning."""


ConfigT = TypeVar("ConfigT", bound=PluginConfig)


class Plugin(Generic[ConfigT]):
    """Base of every plugin: `class DiskPlugin(Plugin[DiskConfig])` with `api = (1, 0)`.

    Everything runs in the plugin's own thread and event loop, each call under a deadline. The
    constructor must not do I/O. `start` may, and is retried with growing pauses until it succeeds.
    `stop` must be safe after a failed start.
    """

    api: ClassVar[tuple[int, int]]
    needs_database: ClassVar[bool] = False
    """True if the plugin cannot work without `context.database_url`."""

    def __init__(self, config: ConfigT, context: Context) -> None:
        self.config = config
        self.context = context

    async def start(self) -> None:
        """Acquire resources, by default within 10 s; if it raises, it is called again later.

        Migrations have a limit of their own.
        """

    async def stop(self) -> None:
        """Release what `start` acquired, by default within 3 s."""

    def probes(self) -> Sequence[Probe]:
        """Return the probes; called once, after the constructor."""
        return ()

    def metrics(self) -> Sequence[Collector]:
        """Return the collectors; called once, after the constructor."""
        return ()

    def jobs(self) -> Sequence[Job]:
        """Return the periodic jobs; called once, after the constructor."""
        return ()
