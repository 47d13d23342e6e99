"""What a plugin imports: its base class, its declarations and the services of the host.

Importing this module brings in pydantic and the standard library, never the server.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, SecretStr

from aliaport.declarations import (
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
from aliaport.errors import AuditError
from aliaport.families import (
    ACTIVE_USERS,
    CACHE_HIT_RATE,
    CURRENCY_SYNC_FAILURE,
    CURRENCY_SYNC_SUCCESS,
    DB_CONNECTIONS,
    GATE_LOGS,
    WORK_ORDERS,
)

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


class Logger(Protocol):
    """A structured logger: a constant event name plus fields, `log.warning("x.failed", code=c)`."""

    def debug(self, event: str, **fields: Any) -> Any:
        """Log at this level."""
        ...

    def info(self, event: str, **fields: Any) -> Any:
        """Log at this level."""
        ...

    def warning(self, event: str, **fields: Any) -> Any:
        """Log at this level."""
        ...

    def error(self, event: str, **fields: Any) -> Any:
        """Log at this level."""
        ...

    def exception(self, event: str, **fields: Any) -> Any:
        """Report the exception being handled: the way in which an author reports an error."""
        ...


class Clock(Protocol):
    """The time, replaceable in tests."""

    def now(self) -> datetime:
        """The wall-clock time, in UTC and aware."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed point; never goes back."""
        ...


class Counter(Protocol):
    """A handle that counts events; any thread may use it."""

    def inc(self, amount: float = 1.0, /, **labels: str) -> None:
        """Add `amount`, which must not be negative, to the series with these labels."""
        ...


class Gauge(Protocol):
    """A handle on a figure that goes up and down; any thread may use it."""

    def set(self, value: float, /, **labels: str) -> None:
        """Let the series with these labels have this value until it is set again."""
        ...


class Histogram(Protocol):
    """A handle that observes values; any thread may use it."""

    def observe(self, value: float, /, **labels: str) -> None:
        """Count one observation in the series with these labels."""
        ...


class Audit(Protocol):
    """Records who did what: on the disk before the action is confirmed.

    Record first, then act; where recording raises, refuse the action.
    """

    def record(self, action: str, /, **fields: Any) -> None:
        """Record an action, such as `record("user.disabled", user=name)`, and wait for the disk.

        `outcome` is `success` unless given. Takes at most 2 s. Raises AuditError where it could not
        be recorded.
        """
        ...

    async def arecord(self, action: str, /, **fields: Any) -> None:
        """As `record`, for code on an event loop."""
        ...


class Context(Protocol):
    """What the host gives to one plugin or application."""

    @property
    def plugin(self) -> str:
        """The entry point's name: the identity in config, metrics, logs and URLs."""
        ...

    @property
    def log(self) -> Logger:
        """A logger whose lines carry the plugin's name, distribution and version."""
        ...

    @property
    def audit(self) -> Audit:
        """The audit log; its lines carry the plugin's name too."""
        ...

    @property
    def clock(self) -> Clock:
        """The time."""
        ...

    @property
    def environment(self) -> str:
        """One of development, test, staging and production."""
        ...

    @property
    def database_url(self) -> SecretStr | None:
        """The service's PostgreSQL, if it has one. Hand the context to `aliaport.postgres`."""
        ...

    def counter(self, metric: Metric) -> Counter:
        """A handle on a counter; without labels it is exported as 0 from now on.

        Raises DeclarationError if `metric` is no counter or its name belongs to somebody else.
        """
        ...

    def gauge(self, metric: Metric) -> Gauge:
        """A handle on a gauge, for figures that change with events; a Collector reads the others.

        Raises DeclarationError as `counter` does.
        """
        ...

    def histogram(self, metric: Metric) -> Histogram:
        """A handle on a histogram. Raises DeclarationError as `counter` does."""
        ...


class PluginConfig(BaseModel):
    """Base of a plugin's options: a pydantic model, frozen, that refuses unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True
    )


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
        """Acquire what the plugin needs (10 s at most); raise to be called again later."""

    async def stop(self) -> None:
        """Release what `start` acquired (3 s at most)."""

    def probes(self) -> Sequence[Probe]:
        """The probes, once the options are known."""
        return ()

    def metrics(self) -> Sequence[Collector]:
        """The collectors, once the options are known."""
        return ()

    def jobs(self) -> Sequence[Job]:
        """The periodic jobs, once the options are known."""
        return ()
