"""Protocols of the services that the host provides: logger, audit log, clock, metrics, context."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from pydantic import SecretStr

from aliaport.contract.declarations import Metric


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
        """Log the exception being handled, with its traceback; use this to report an error."""
        ...


class Clock(Protocol):
    """The time, replaceable in tests."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some fixed point; never goes back."""
        ...


class Counter(Protocol):
    """A handle that counts events; any thread may use it."""

    def inc(self, amount: float = 1.0, /, **labels: str) -> None:
        """Add `amount`, which must not be negative, to the series with these labels."""
        ...


class Gauge(Protocol):
    """A handle on a value that goes up and down; any thread may use it."""

    def set(self, value: float, /, **labels: str) -> None:
        """Set the series with these labels to this value."""
        ...


class Histogram(Protocol):
    """A handle that observes values; any thread may use it."""

    def observe(self, value: float, /, **labels: str) -> None:
        """Count one observation in the series with these labels."""
        ...


class Audit(Protocol):
    """Records who did what, on disk before the action is confirmed.

    Record first, then act; if recording raises, refuse the action.
    """

    def record(self, action: str, /, **fields: Any) -> None:
        """Record an action, such as `record("user.disabled", user=name)`, and wait for the disk.

        `outcome` is `success` unless given. Takes at most 2 s. Raises AuditError if the action
        could not be recorded.
        """
        ...

    async def arecord(self, action: str, /, **fields: Any) -> None:
        """Record as `record` does, for code on an event loop."""
        ...


class Context(Protocol):
    """The services of the host for one plugin or application."""

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
        """The URL of the service's PostgreSQL, if any; pass the context to `aliaport.postgres`."""
        ...

    @property
    def data_folders(self) -> Sequence[Path]:
        """The folders that the service writes to, without symbolic links.

        They are those of the log files and of the embedded database, if it runs.
        """
        ...

    def counter(self, metric: Metric) -> Counter:
        """Return a handle on a counter; without labels it is exported as 0 from now on.

        Raises DeclarationError if `metric` is not a counter or another plugin owns its name.
        """
        ...

    def gauge(self, metric: Metric) -> Gauge:
        """Return a handle on a gauge, for values that change with events.

        Use a Collector for other values. Raises DeclarationError as `counter` does.
        """
        ...

    def histogram(self, metric: Metric) -> Histogram:
        """Return a handle on a histogram. Raises DeclarationError as `counter` does."""
        ...
