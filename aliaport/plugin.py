"""What a plugin imports: its base class, its declarations and the services of the host.

Importing this module brings in pydantic and the standard library, never the server.
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
"""Version of this contract: a plugin names the one that it was written for in `Plugin.api`."""


class PluginConfig(BaseModel):
    """Base of a plugin's options: a pydantic model, frozen, that refuses unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True
    )

    renamed_options: ClassVar[Mapping[str, str]] = {}
    """Old names of options that are still accepted, and the new ones; each use is a warning."""


ConfigT = TypeVar("ConfigT", bound=PluginConfig)


class Plugin(Generic[ConfigT]):
    """Base of every plugin: `class DiskPlugin(Plugin[DiskConfig])` with `api = (1, 0)`.

    Everything runs in the plugin's own thread and event loop, each call under a deadline. The
    constructor takes the values and does no input or output; `start` may, and is repeated with
    growing pauses until it succeeds; `stop` must be safe after a failed start.
    """

    api: ClassVar[tuple[int, int]]
    needs_database: ClassVar[bool] = False
    """True where the plugin cannot work without `context.database_url`."""

    def __init__(self, config: ConfigT, context: Context) -> None:
        self.config = config
        self.context = context

    async def start(self) -> None:
        """Acquire what the plugin needs, in 10 s by default; raise to be called again later."""

    async def stop(self) -> None:
        """Release what `start` acquired, in 3 s by default."""

    def probes(self) -> Sequence[Probe]:
        """The probes, once the options are known."""
        return ()

    def metrics(self) -> Sequence[Collector]:
        """The collectors, once the options are known."""
        return ()

    def jobs(self) -> Sequence[Job]:
        """The periodic jobs, once the options are known."""
        return ()
