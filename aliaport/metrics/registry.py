"""Counters, gauges and histograms that any thread may write, and the owner of each family."""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from aliaport.contract.declarations import Metric, MetricKind
from aliaport.contract.families import SHARED_FAMILIES
from aliaport.errors import DeclarationError
from aliaport.metrics.refusals import Refusals
from aliaport.metrics.samples import RefusedSampleError, check_sample, check_sum
from aliaport.plugin import Logger

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
            self._open(())

    def write(self, owner: str, value: object, labels: Mapping[str, object], log: Logger) -> None:
        """Add to a series, or set a gauge; report what cannot be exported, and never raise."""
        try:
            values, number = check_sample(self.metric, labels, value)
            with self._registry.lock:
                full = len(self.series) >= self._registry.series_per_family
                if values not in self.series and full:
                    self._registry.dropped[owner, "family_cap"] += 1
                    return
                self._add(values, number, labels)
        except RefusedSampleError as error:
            self._registry.count_dropped(owner, error.refused.kind)
            self._registry.refusals.report(owner, error.refused, log)

    def _add(self, values: tuple[str, ...], number: float, labels: Mapping[str, object]) -> None:
        """Set a gauge, add to any other series; the caller holds the lock."""
        total = number
        if self.metric.kind is not MetricKind.GAUGE:
            total += self.series.get(values, 0.0)
            check_sum(self.metric, labels, number, total)
        self._open(values)
        self.series[values] = total
        if self.metric.kind is MetricKind.HISTOGRAM:
            self.counts[values][bisect_left(self.metric.buckets, number)] += 1

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


class _Handle:
    """A plugin's handle on a family; `log` is the plugin's logger."""

    def __init__(self, recorder: _Recorder, owner: str, log: Logger) -> None:
        self._recorder = recorder
        self._owner = owner
        self._log = log

    def _write(self, value: object, labels: Mapping[str, object]) -> None:
        self._recorder.write(self._owner, value, labels, self._log)


class CounterHandle(_Handle):
    """The host's `aliaport.plugin.Counter`."""

    def inc(self, amount: float = 1.0, /, **labels: str) -> None:
        """Add `amount`, which must not be negative, to the series with these labels."""
        self._write(amount, labels)


class GaugeHandle(_Handle):
    """The host's `aliaport.plugin.Gauge`."""

    def set(self, value: float, /, **labels: str) -> None:
        """Set the series with these labels to this value."""
        self._write(value, labels)


class HistogramHandle(_Handle):
    """The host's `aliaport.plugin.Histogram`."""

    def observe(self, value: float, /, **labels: str) -> None:
        """Count one observation in the series with these labels."""
        self._write(value, labels)


_SUFFIXES = {
    MetricKind.GAUGE: ("",),
    MetricKind.COUNTER: ("", "_total", "_created"),
    MetricKind.HISTOGRAM: ("", "_bucket", "_count", "_sum", "_created"),
}
"""The suffixes that the text format and OpenMetrics add to the name of a family."""


def sample_names(metric: Metric) -> list[str]:
    """Return every name under which samples of the family may appear on a page."""
    name = metric.name
    if metric.kind is MetricKind.COUNTER:
        name = name.removesuffix("_total")
    return [f"{name}{suffix}" for suffix in _SUFFIXES[metric.kind]]


def _check_names(metric: Metric, owner: str) -> None:
    """Raise DeclarationError unless `owner` may declare a new family of this name and labels."""
    where = f"metric {metric.name!r}"
    if owner == HOST:
        return
    if not metric.name.startswith(f"aliaport_{owner}_"):
        raise DeclarationError(
            f"{where}: the name must begin with 'aliaport_{owner}_'",
            f"rename it to 'aliaport_{owner}_{metric.name.removeprefix('aliaport_')}'",
        )
    if metric.kind is MetricKind.COUNTER and not metric.name.endswith("_total"):
        raise DeclarationError(
            f"{where}: the name of a counter must end in '_total'",
            f"rename it to '{metric.name}_total'",
        )
    if "plugin" in metric.labels:
        raise DeclarationError(f"{where}: the label 'plugin' is reserved", "rename it")


class MetricRegistry:
    """All families that the host knows, their owners, and the values that plugins write directly.

    Any thread may use it. `series_per_family` limits the series of each written family.
    """

    def __init__(self, series_per_family: int) -> None:
        self.lock = threading.Lock()
        self.series_per_family = series_per_family
        self.dropped: Counter[tuple[str, str]] = Counter()
        self.refusals = Refusals()
        self.families: dict[str, Metric] = dict(SHARED_FAMILIES)
        self._owners: dict[str, str] = {}
        self._claims: dict[str, Metric] = {}
        for metric in SHARED_FAMILIES.values():
            self._claim(metric, HOST)
        self._recorders: dict[str, _Recorder] = {}

    def declare(self, metric: Metric, owner: str) -> None:
        """Let `owner` contribute to a family; raise DeclarationError if it may not."""
        with self.lock:
            known = self.families.get(metric.name)
            if known is None:
                _check_names(metric, owner)
                self._claim(metric, owner)
                self._owners[metric.name] = owner
                self.families[metric.name] = metric
                return
            if self._owners.get(metric.name, owner) != owner:
                raise DeclarationError(
                    f"metric {metric.name!r} belongs to {self._owners[metric.name]}",
                    "choose another name",
                )
            if known != metric:
                raise DeclarationError(
                    f"metric {metric.name!r} is already declared with other properties",
                    "use the same object",
                )

    def _claim(self, metric: Metric, owner: str) -> None:
        """Reserve the names of a new family's samples; the caller holds the lock."""
        names = sample_names(metric)
        for name in names:
            other = self._claims.get(name)
            if other is not None:
                whose = self._owners.get(other.name, HOST)
                raise DeclarationError(
                    f"metric {metric.name!r}: the {other.kind} {other.name!r} of "
                    f"{'the same plugin' if whose == owner else whose} uses the name {name!r} too",
                    "rename one of them; Prometheus refuses a page on which two metrics share one",
                )
        self._claims.update(dict.fromkeys(names, metric))

    def counter(self, metric: Metric, owner: str, log: Logger) -> CounterHandle:
        """Return a handle on a counter family. Raises DeclarationError."""
        return CounterHandle(self._recorder(metric, owner, MetricKind.COUNTER), owner, log)

    def gauge(self, metric: Metric, owner: str, log: Logger) -> GaugeHandle:
        """Return a handle on a gauge family. Raises DeclarationError."""
        return GaugeHandle(self._recorder(metric, owner, MetricKind.GAUGE), owner, log)

    def histogram(self, metric: Metric, owner: str, log: Logger) -> HistogramHandle:
        """Return a handle on a histogram family. Raises DeclarationError."""
        return HistogramHandle(self._recorder(metric, owner, MetricKind.HISTOGRAM), owner, log)

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
        with self.lock:  # a scrape goes through them
            recorder = self._recorders.get(metric.name)
            if recorder is None:
                recorder = self._recorders[metric.name] = _Recorder(metric, self)
            return recorder
