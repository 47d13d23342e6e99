"""Counters, gauges and histograms that any thread may write, and the owner of each family."""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from aliaport.contract.declarations import Metric, MetricKind
from aliaport.contract.families import SHARED_FAMILIES
from aliaport.errors import DeclarationError
from aliaport.metrics.samples import label_values

HOST = "aliaport"


@dataclass(frozen=True, slots=True)
class HistogramValue:
    """The state of one histogram series: observations per bucket (the last is +Inf) and sum."""

    counts: tuple[int, ...]
    sum: float


Value = float | HistogramValue
Samples = dict[tuple[str, ...], Value]


class _Recorder:
    """The series of one family, under the lock that all recorders share."""

    def __init__(self, metric: Metric, registry: "MetricRegistry") -> None:
        self.metric = metric
        self.series: dict[tuple[str, ...], float] = {}
        self.counts: dict[tuple[str, ...], list[int]] = {}
        self._registry = registry
        if not metric.labels and metric.kind is not MetricKind.GAUGE:
            self.touch(())

    def touch(self, labels: tuple[str, ...]) -> None:
        """Create a series, at 0."""
        with self._registry.lock:
            self._open(labels)

    def write(self, owner: str, value: object, labels: Mapping[str, object], bucket: int) -> None:
        """Add to a series, or set a gauge; drop and count what is invalid or exceeds the cap."""
        values = label_values(self.metric, labels)
        if (
            values is None
            or not isinstance(value, int | float)
            or (self.metric.kind is MetricKind.COUNTER and not value >= 0)
        ):
            self._registry.count_dropped(owner, "invalid")
            return
        with self._registry.lock:
            full = len(self.series) >= self._registry.series_per_family
            if values not in self.series and full:
                self._registry.dropped[owner, "family_cap"] += 1
                return
            self._open(values)
            if self.metric.kind is MetricKind.GAUGE:
                self.series[values] = float(value)
                return
            self.series[values] += float(value)
            if bucket >= 0:
                self.counts[values][bucket] += 1

    def samples(self) -> Samples:
        """Return a copy of all series."""
        if self.metric.kind is not MetricKind.HISTOGRAM:
            return dict(self.series)
        return {
            labels: HistogramValue(tuple(counts), self.series[labels])
            for labels, counts in self.counts.items()
        }

    def _open(self, labels: tuple[str, ...]) -> None:
        if labels not in self.series:
            self.series[labels] = 0.0
            if self.metric.kind is MetricKind.HISTOGRAM:
                self.counts[labels] = [0] * (len(self.metric.buckets) + 1)


class CounterHandle:
    """The host's `aliaport.plugin.Counter`."""

    def __init__(self, recorder: _Recorder, owner: str) -> None:
        self._recorder = recorder
        self._owner = owner

    def inc(self, amount: float = 1.0, /, **labels: str) -> None:
        """Add `amount`, which must not be negative, to the series with these labels."""
        self._recorder.write(self._owner, amount, labels, -1)

    def touch(self, **labels: str) -> None:
        """Create the series with these labels, at 0."""
        values = label_values(self._recorder.metric, labels)
        if values is not None:
            self._recorder.touch(values)


class GaugeHandle:
    """The host's `aliaport.plugin.Gauge`."""

    def __init__(self, recorder: _Recorder, owner: str) -> None:
        self._recorder = recorder
        self._owner = owner

    def set(self, value: float, /, **labels: str) -> None:
        """Set the series with these labels to this value."""
        self._recorder.write(self._owner, value, labels, -1)


class HistogramHandle:
    """The host's `aliaport.plugin.Histogram`."""

    def __init__(self, recorder: _Recorder, owner: str) -> None:
        self._recorder = recorder
        self._owner = owner

    def observe(self, value: float, /, **labels: str) -> None:
        """Count one observation in the series with these labels."""
        bounds = self._recorder.metric.buckets
        bucket = bisect_left(bounds, value) if isinstance(value, int | float) else 0
        self._recorder.write(self._owner, value, labels, bucket)


class MetricRegistry:
    """All families that the host knows, their owners, and the values that plugins write directly.

    Any thread may use it. `series_per_family` limits the series of each written family.
    """

    def __init__(self, series_per_family: int) -> None:
        self.lock = threading.Lock()
        self.series_per_family = series_per_family
        self.dropped: Counter[tuple[str, str]] = Counter()
        self.families: dict[str, Metric] = dict(SHARED_FAMILIES)
        self._owners: dict[str, str] = {}
        self._recorders: dict[str, _Recorder] = {}

    def declare(self, metric: Metric, owner: str) -> None:
        """Let `owner` contribute to a family; raise DeclarationError if it may not."""
        with self.lock:
            known = self.families.get(metric.name)
            if known is None:
                if owner != HOST and not metric.name.startswith(f"aliaport_{owner}_"):
                    raise DeclarationError(
                        f"metric {metric.name!r}: the name must begin with 'aliaport_{owner}_'"
                    )
                if owner != HOST and "plugin" in metric.labels:
                    raise DeclarationError(
                        f"metric {metric.name!r}: the label 'plugin' is reserved; rename it"
                    )
                self.families[metric.name] = metric
                self._owners[metric.name] = owner
                return
            if self._owners.get(metric.name, owner) != owner:
                raise DeclarationError(
                    f"metric {metric.name!r} belongs to {self._owners[metric.name]}; "
                    "choose another name"
                )
            if known != metric:
                raise DeclarationError(
                    f"metric {metric.name!r} is already declared with other properties; "
                    "use the same object"
                )

    def counter(self, metric: Metric, owner: str) -> CounterHandle:
        """Return a handle on a counter family. Raises DeclarationError."""
        return CounterHandle(self._recorder(metric, owner, MetricKind.COUNTER), owner)

    def gauge(self, metric: Metric, owner: str) -> GaugeHandle:
        """Return a handle on a gauge family. Raises DeclarationError."""
        return GaugeHandle(self._recorder(metric, owner, MetricKind.GAUGE), owner)

    def histogram(self, metric: Metric, owner: str) -> HistogramHandle:
        """Return a handle on a histogram family. Raises DeclarationError."""
        return HistogramHandle(self._recorder(metric, owner, MetricKind.HISTOGRAM), owner)

    def count_dropped(self, owner: str, reason: str, number: int = 1) -> None:
        """Count samples of `owner` that are not exported."""
        with self.lock:
            self.dropped[owner, reason] += number

    def dropped_series(self) -> dict[tuple[str, str], int]:
        """Return the number of samples that were not exported, by owner and reason."""
        with self.lock:
            return dict(self.dropped)

    def snapshot(self) -> dict[str, Samples]:
        """Return a copy of all written samples, by family."""
        with self.lock:
            return {name: recorder.samples() for name, recorder in self._recorders.items()}

    def _recorder(self, metric: Metric, owner: str, kind: MetricKind) -> _Recorder:
        if metric.kind is not kind:
            raise DeclarationError(f"metric {metric.name!r} is a {metric.kind}, not a {kind}")
        self.declare(metric, owner)
        recorder = self._recorders.get(metric.name)
        if recorder is None:
            recorder = self._recorders.setdefault(metric.name, _Recorder(metric, self))
        return recorder
