"""Converts what a collector returned into plain series, in the thread of its plugin."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from aliaport.contract.declarations import Metric, MetricKind, Sample
from aliaport.isolation.bulkhead import Freeze
from aliaport.isolation.failures import plain_text

LABEL_VALUE_LIMIT = 128
SAMPLE_LIMIT = 20_000
"""Maximum number of samples read per collection, since a generator may never end."""


@dataclass(frozen=True, slots=True)
class Series:
    """One sample: its family's name, the label values in the declared order, the value."""

    family: str
    labels: tuple[str, ...]
    value: float


@dataclass(frozen=True, slots=True)
class Collection:
    """The series of one collection, and the number of dropped samples by reason."""

    series: tuple[Series, ...]
    dropped: Mapping[str, int]


class InvalidSamplesError(Exception):
    """A collector returned something that is not an iterable of samples."""


def freezer(families: Sequence[Metric]) -> Freeze:
    """Return the function that turns what a collector returned into a Collection."""
    declared = {family.name: family for family in families}

    def freeze(samples: object) -> Collection:
        if not isinstance(samples, Iterable) or isinstance(samples, str | bytes | Mapping):
            kind = type(samples).__name__
            raise InvalidSamplesError(
                f"the collector returned {kind}; return a list of Metric.sample(…)"
            )
        dropped: Counter[str] = Counter()
        found: dict[tuple[str, tuple[str, ...]], Series] = {}
        for sample in islice(samples, SAMPLE_LIMIT):
            series = _series(sample, declared)
            if series is None:
                dropped["invalid"] += 1
            elif (key := (series.family, series.labels)) in found:
                dropped["duplicate"] += 1
            else:
                found[key] = series
        return Collection(tuple(found.values()), dict(dropped))

    return freeze


def label_values(metric: Metric, labels: Mapping[str, object]) -> tuple[str, ...] | None:
    """Return the values in the declared order as bounded text, or None if they do not match."""
    if len(labels) != len(metric.labels):
        return None
    values = []
    for name in metric.labels:
        value = labels.get(name)
        if not isinstance(value, str):
            return None
        values.append(plain_text(str.__getitem__(value, slice(LABEL_VALUE_LIMIT))))
    return tuple(values)


def _series(sample: object, declared: Mapping[str, Metric]) -> Series | None:
    if not isinstance(sample, Sample) or type(sample.metric) is not str:
        return None
    metric = declared.get(sample.metric)
    if metric is None or not isinstance(sample.labels, Mapping):
        return None
    labels = label_values(metric, sample.labels)
    if labels is None or not isinstance(sample.value, int | float):
        return None
    try:
        value = float(sample.value)
    except (OverflowError, ValueError):
        return None
    if metric.kind is MetricKind.COUNTER and not value >= 0:
        return None
    return Series(metric.name, labels, value)
