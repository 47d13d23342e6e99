"""The services that the host provides to a plugin or application."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from aliaport.contract.declarations import Metric
from aliaport.metrics.registry import MetricRegistry
from aliaport.plugin import Audit, Clock, Counter, Gauge, Histogram, Logger
from aliaport.settings.url_file import DatabaseUrlFile


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware and in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds since some fixed point; never goes back."""
        return time.monotonic()


# Each is a plugin's own, so two are never equal; the weak slot is for what is kept about it.
@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class HostContext:
    """The `aliaport.plugin.Context` that plugins and applications receive."""

    plugin: str
    log: Logger
    audit: Audit
    environment: str
    given_url: SecretStr | None
    data_folders: tuple[Path, ...] = ()
    registry: MetricRegistry = field(repr=False)
    clock: Clock = field(default_factory=SystemClock)
    url_file: DatabaseUrlFile | None = None

    @property
    def database_url(self) -> SecretStr | None:
        """The URL as it is now; see `aliaport.plugin.Context`."""
        return self.given_url if self.url_file is None else self.url_file.current(self.log)

    def counter(self, metric: Metric) -> Counter:
        """Return a handle on a counter; see `aliaport.plugin.Context`."""
        return self.registry.counter(metric, self.plugin, self.log)

    def gauge(self, metric: Metric) -> Gauge:
        """Return a handle on a gauge; see `aliaport.plugin.Context`."""
        return self.registry.gauge(metric, self.plugin, self.log)

    def histogram(self, metric: Metric) -> Histogram:
        """Return a handle on a histogram; see `aliaport.plugin.Context`."""
        return self.registry.histogram(metric, self.plugin, self.log)
