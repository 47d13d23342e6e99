"""Metric families, their samples and collectors, as frozen values."""

import math
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from aliaport.contract.rules import matches, names, number, plain, require, require_function, text

METRIC_NAME = re.compile(r"(aliaport|process)_[a-z][a-z0-9_]{0,90}")
LABEL_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
RESERVED_LABELS = frozenset("job instance le quantile".split())
COMMON_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
HELP_LIMIT = 1_000
"""Characters of a help text."""

COLLECTOR_NAME_LIMIT = 100
"""Characters of the name of a collector, which is a label."""


class MetricKind(StrEnum):
    """The kinds of metric families."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """Declares one metric family; use the constructors `gauge`, `counter` and `histogram`.

    The name begins with `aliaport_<plugin>_` or is one of the families that the core declares for
    all (such as `aliaport_cache_hit_rate`). Base units: `_seconds`, `_bytes`; counters end in
    `_total`.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: MetricKind = MetricKind.GAUGE
    buckets: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Raise DeclarationError if the declaration breaks the contract."""
        where = f"metric {self.name!r}"
        require(
            matches(METRIC_NAME, self.name),
            f"{where}: the name must match {METRIC_NAME.pattern}",
            "rename it to aliaport_<plugin>_<what>, in lowercase letters, digits and underscores",
        )
        description = text(self.help, f"{where}: help", HELP_LIMIT)
        require(
            bool(description.strip()), f"{where}: help must be a sentence", "describe the metric"
        )
        labels = names(self.labels, f"{where}: labels")
        require(len(labels) <= 5, f"{where}: at most 5 labels are allowed", "remove labels")
        require(
            len(set(labels)) == len(labels),
            f"{where}: labels must be unique",
            "rename one",
        )
        for label in labels:
            require(
                matches(LABEL_NAME, label),
                f"{where}: label {label!r} must match {LABEL_NAME.pattern}",
                "use lowercase letters, digits and underscores",
            )
            require(
                label not in RESERVED_LABELS,
                f"{where}: label {label!r} is reserved for Prometheus",
                "rename it",
            )
        bounds = [
            number(bound, f"{where}: a bucket")
            for bound in names(self.buckets, f"{where}: buckets")
        ]
        require(
            bounds == sorted(set(bounds)),
            f"{where}: buckets must be in ascending order",
            "sort them, and name each bound once",
        )
        require(
            not any(map(math.isinf, bounds)),
            f"{where}: buckets must be finite",
            "leave out infinity; the last bucket has no upper bound in any case",
        )
        object.__setattr__(self, "name", plain(self.name))
        object.__setattr__(self, "help", description)
        object.__setattr__(self, "labels", tuple(map(plain, labels)))
        object.__setattr__(self, "buckets", tuple(bounds))

    @classmethod
    def gauge(cls, name: str, help: str, labels: Sequence[str] = ()) -> "Metric":
        """Declare a value that goes up and down."""
        return cls(name, help, names(labels, f"metric {name!r}: labels"), MetricKind.GAUGE)

    @classmethod
    def counter(cls, name: str, help: str, labels: Sequence[str] = ()) -> "Metric":
        """Declare a total that starts at 0 and only increases."""
        return cls(name, help, names(labels, f"metric {name!r}: labels"), MetricKind.COUNTER)

    @classmethod
    def histogram(
        cls,
        name: str,
        help: str,
        labels: Sequence[str] = (),
        buckets: Sequence[float] = COMMON_BUCKETS,
    ) -> "Metric":
        """Declare observations counted in buckets; only `Context.histogram` can record them."""
        return cls(
            name,
            help,
            names(labels, f"metric {name!r}: labels"),
            MetricKind.HISTOGRAM,
            names(buckets, f"metric {name!r}: buckets"),
        )

    def sample(self, value: float, /, **labels: str) -> "Sample":
        """Return one sample of this family; `labels` must name each declared label."""
        return Sample(self.name, value, labels)


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of a metric family, made by `Metric.sample`."""

    metric: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Collector:
    """Declares metric families and the function that returns their samples at each scrape.

    Use one collector per source that can hang: if `run` hangs, only these families are missing.
    `run` is an `async def` or a plain `def`, as for a probe. `timeout` is in seconds.
    """

    families: Sequence[Metric]
    run: Callable[[], Awaitable[Iterable[Sample]]] | Callable[[], Iterable[Sample]]
    name: str = ""
    timeout: float = 5.0

    def __post_init__(self) -> None:
        """Raise DeclarationError if the declaration breaks the contract."""
        families = tuple(self.families) if isinstance(self.families, Iterable) else ()
        require(
            bool(families) and all(isinstance(family, Metric) for family in families),
            "a collector must declare at least one metric family, and only those",
            "pass a list of Metric as its first argument",
        )
        name = text(self.name, "collector: name", COLLECTOR_NAME_LIMIT) or families[0].name
        require_function(self.run, f"collector {name}", generator=True)
        timeout = number(self.timeout, f"collector {name}: timeout")
        require(timeout > 0, f"collector {name}: timeout must be more than 0 seconds", "raise it")
        require(
            all(family.kind is not MetricKind.HISTOGRAM for family in families),
            f"collector {name}: histograms are not collected",
            "fill them through context.histogram, and leave them out of the collector",
        )
        object.__setattr__(self, "families", families)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "timeout", timeout)
