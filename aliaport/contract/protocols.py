"""The services of the host as plugins see them: logger, audit log, clock, metrics, context."""

from datetime import datetime
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
