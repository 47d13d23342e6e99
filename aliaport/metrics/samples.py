"""Converts what a collector returned into plain series, in the thread of its plugin."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from aliaport.contract.declarations import Metric, MetricKind, Sample
from aliaport.contract.rules import plain
from aliaport.isolation.bulkhead import Freeze
from aliaport.metrics.refusals import RefusedSample, name_text, names_text, value_text
from aliaport.printable import plain_text
from aliaport.redaction import redact, shorten

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
    """The series of one collection, the number of dropped samples by reason, and those refused.

    `refused` holds the first refused sample of each family.
    """

    series: tuple[Series, ...]
    dropped: Mapping[str, int]
    refused: tuple[RefusedSample, ...] = ()


class InvalidSamplesError(Exception):
    """A collector returned something that is not an iterable of samples."""


class RefusedSampleError(Exception):
    """A sample cannot be exported; `refused` describes it."""

    def __init__(self, refused: RefusedSample) -> None:
        super().__init__(str(refused))
        self.refused = refused

    @classmethod
    def of(
        cls,
        metric: Metric,
        labels: Mapping[str, object],
        value: object,
        problem: str,
        hint: str,
    ) -> "RefusedSampleError":
        """Return the error of a sample of a known family."""
        return cls(
            RefusedSample(
                metric.name,
                problem,
                hint,
                names_text(metric.labels),
                names_text(labels),
                value_text(value),
            )
        )


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
        refused: dict[str, RefusedSample] = {}
        found: dict[tuple[str, tuple[str, ...]], Series] = {}
        reader = iter(samples)
        for sample in islice(reader, SAMPLE_LIMIT):
            try:
                series = _series(sample, declared)
                if (series.family, series.labels) in found:
                    raise RefusedSampleError(duplicate(declared[series.family], series))
                found[series.family, series.labels] = series
            except RefusedSampleError as error:
                dropped[error.refused.kind] += 1
                refused.setdefault(error.refused.family, error.refused)
        if any(True for _ in islice(reader, 1)):
            dropped["collection_cap"] += 1  # the number of the others is unknown
        return Collection(tuple(found.values()), dict(dropped), tuple(refused.values()))

    return freeze


def duplicate(metric: Metric, series: Series) -> RefusedSample:
    """Return the description of a series that is exported already."""
    return RefusedSample(
        metric.name,
        "another sample has the same labels",
        "return one sample for each combination of labels, from one source",
        declared=names_text(metric.labels),
        given=", ".join(
            f"{name}={value}" for name, value in zip(metric.labels, series.labels, strict=True)
        ),
        value=value_text(series.value),
        kind="duplicate",
    )


def check_sample(
    metric: Metric, labels: Mapping[str, object], value: object
) -> tuple[tuple[str, ...], float]:
    """Return the label values in the declared order, and the value as a float.

    Raises RefusedSampleError if the labels are not the declared ones or the value does not fit.
    """
    problem = hint = ""
    number = math.nan
    values = label_values(metric, labels)
    if values is None:
        wrong = next((name for name, text in labels.items() if not isinstance(text, str)), None)
        if wrong is not None and set(labels) == set(metric.labels):
            problem = f"the value of the label {name_text(wrong)!r} is not text"
            hint = "convert it with str()"
        else:
            problem, hint = "its labels are not the declared ones", "pass each declared label once"
    elif not isinstance(value, int | float):
        problem, hint = "its value is not a number", "pass an int or a float"
    else:
        try:
            number = int.__float__(value) if isinstance(value, int) else float.__add__(value, 0.0)
        except OverflowError:
            problem, hint = "its value is too large", "pass a number that a float can hold"
        else:
            problem, hint = _unfit(metric.kind, number)
    if problem or values is None:
        raise RefusedSampleError.of(metric, labels, value, problem, hint)
    return values, number


def check_sum(metric: Metric, labels: Mapping[str, object], number: float, total: float) -> None:
    """Raise RefusedSampleError if adding `number` makes a total that no float can hold."""
    if not math.isfinite(total):
        problem = f"the sum of the {metric.kind} would become {total}"
        raise RefusedSampleError.of(metric, labels, number, problem, "add smaller values")


def label_values(metric: Metric, labels: Mapping[str, object]) -> tuple[str, ...] | None:
    """Return the values in the declared order as bounded text, or None if they do not match.

    Secrets in them are masked.
    """
    if len(labels) != len(metric.labels):
        return None
    values = []
    for name in metric.labels:
        value = labels.get(name)
        if not isinstance(value, str):
            return None
        values.append(_label_text(value))
    return tuple(values)


def _label_text(value: str) -> str:
    fits = str.__len__(value) <= LABEL_VALUE_LIMIT
    text = str.__str__(value) if fits else shorten(value, LABEL_VALUE_LIMIT)
    # Every secret has one of them; few labels do, and those return at each scrape.
    return _masked(text) if ":" in text or "=" in text or " " in text else plain_text(text)


@lru_cache(4_096)
def _masked(text: str) -> str:
    return plain_text(redact(text))


def _unfit(kind: MetricKind, number: float) -> tuple[str, str]:
    """Return why a value does not fit this kind of metric and what to do, or two empty texts."""
    if not math.isfinite(number):
        return f"a {kind} cannot take the value {number}", "leave out values that are not finite"
    if kind is MetricKind.COUNTER and number < 0:
        return "a counter cannot decrease", "use a gauge for values that go down"
    return "", ""


def _series(sample: object, declared: Mapping[str, Metric]) -> Series:
    if not isinstance(sample, Sample) or not isinstance(sample.metric, str):
        raise RefusedSampleError(
            RefusedSample(
                "",
                "the collector returned an item that is not a sample",
                "return Metric.sample(…)",
                value=value_text(sample),
            )
        )
    labels: object = sample.labels
    metric = declared.get(plain(sample.metric))
    if metric is None or not isinstance(labels, Mapping):
        raise RefusedSampleError(
            RefusedSample(
                name_text(sample.metric),
                "the collector does not declare this family"
                if metric is None
                else "its labels are not a mapping",
                "add it to the collector's families" if metric is None else "use Metric.sample(…)",
                declared=names_text(metric.labels) if metric else "",
                given=names_text(labels) if isinstance(labels, Mapping) else "",
                value=value_text(sample.value),
            )
        )
    values, number = check_sample(metric, labels, sample.value)
    return Series(metric.name, values, number)
