"""Frozen classes for what a plugin declares (probes, metrics, jobs) and what it returns."""

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from aliaport.errors import DeclarationError

Scalar = str | int | float | bool | None

PLUGIN_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
PROBE_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
CODE = re.compile(r"[a-z][a-z0-9_]{0,40}")
METRIC_NAME = re.compile(r"aliaport_[a-z][a-z0-9_]{0,90}")
LABEL_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")

RESERVED_PROBE_NAMES = frozenset(
    "status timestamp reason reasons probes plugins omitted success data error service version "
    "uptime_seconds environment".split()
)
HOST_CODES = frozenset("timeout stuck blocked error starting rejected invalid draining".split())
RESERVED_LABELS = frozenset("job instance le quantile".split())
COMMON_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Status(StrEnum):
    """The health that a probe reports."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one probe run. Use the constructors `healthy`, `degraded` and `unhealthy`.

    `summary` is one sentence for people (cut at 300 characters), `data` further values (at most
    32 scalars), `code` a short, documented reason such as `wrong_password`. The code is public;
    summary and data are shown to operators only.

    The constructors accept any scalar as `code`, so that type checkers accept `**data` of a
    `dict[str, Scalar]`. A code that is not such a word makes the result `invalid`.
    """

    status: Status
    summary: str = ""
    data: Mapping[str, Scalar] = field(default_factory=dict)
    code: str = ""

    @classmethod
    def healthy(cls, summary: str = "", /, *, code: Scalar = "ok", **data: Scalar) -> "Check":
        """Report that all is well."""
        return cls(Status.HEALTHY, summary, data, _word(code))

    @classmethod
    def degraded(cls, summary: str = "", /, *, code: Scalar = "failed", **data: Scalar) -> "Check":
        """Report that it works but needs attention; nothing is taken out of rotation."""
        return cls(Status.DEGRADED, summary, data, _word(code))

    @classmethod
    def unhealthy(cls, summary: str = "", /, *, code: Scalar = "failed", **data: Scalar) -> "Check":
        """Report that it does not work; if the probe is critical, /ready responds with 503."""
        return cls(Status.UNHEALTHY, summary, data, _word(code))


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Declares one probe.

    `run` is an `async def` (it runs on the plugin's own loop) or a plain `def` (it runs in its own
    thread, so it may block). `critical` and `timeout` (seconds) are defaults, which the operator
    can override in `[probes.<name>]`. `section` is the key of /status that holds the data (several
    probes may share one), `section_defaults` the values shown there until there is a result.
    `words` are the two status words of that section and of /ready: (works, does not work).
    """

    name: str
    run: Callable[[], Awaitable[Check]] | Callable[[], Check]
    title: str = ""
    critical: bool = False
    timeout: float = 0.5
    section: str | None = None
    section_defaults: Mapping[str, Scalar] = field(default_factory=dict)
    words: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        """Raise DeclarationError if the declaration breaks the contract."""
        where = f"probe {self.name!r}"
        _require(
            _matches(PROBE_NAME, self.name),
            f"{where}: the name must match {PROBE_NAME.pattern}",
            _rename(self.name),
        )
        _require(
            self.name not in RESERVED_PROBE_NAMES,
            f"{where}: this name is reserved for a key of the responses",
            "choose another",
        )
        _require_function(self.run, where)
        _require(
            0 < self.timeout <= 60,
            f"{where}: timeout must be more than 0 and at most 60 seconds",
            "move work that takes longer into a Job, and let the probe look at its result",
        )
        _require(
            self.section is None or _matches(PROBE_NAME, self.section),
            f"{where}: section must match {PROBE_NAME.pattern}",
            "use lowercase letters, digits and underscores",
        )
        _require(
            self.section not in RESERVED_PROBE_NAMES,
            f"{where}: section {self.section!r} is reserved for a key of the responses",
            "choose another",
        )
        _require(
            self.words is None
            or (len(self.words) == 2 and all(_matches(CODE, word) for word in self.words)),
            f"{where}: words must be two words such as ('connected', 'disconnected')",
            "write the word of a result that works first",
        )
        object.__setattr__(self, "section_defaults", MappingProxyType(dict(self.section_defaults)))


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
        _require(
            _matches(METRIC_NAME, self.name),
            f"{where}: the name must match {METRIC_NAME.pattern}",
            "rename it to aliaport_<plugin>_<what>, in lowercase letters, digits and underscores",
        )
        _require(
            bool(self.help.strip()), f"{where}: help must be a sentence", "describe the metric"
        )
        _require(len(self.labels) <= 5, f"{where}: at most 5 labels are allowed", "remove labels")
        _require(
            len(set(self.labels)) == len(self.labels),
            f"{where}: labels must be unique",
            "rename one",
        )
        for label in self.labels:
            _require(
                _matches(LABEL_NAME, label),
                f"{where}: label {label!r} must match {LABEL_NAME.pattern}",
                "use lowercase letters, digits and underscores",
            )
            _require(
                label not in RESERVED_LABELS,
                f"{where}: label {label!r} is reserved for Prometheus",
                "rename it",
            )
        _require(
            not self.buckets or list(self.buckets) == sorted(set(self.buckets)),
            f"{where}: buckets must be in ascending order",
            "sort them, and name each bound once",
        )

    @classmethod
    def gauge(cls, name: str, help: str, labels: Sequence[str] = ()) -> "Metric":
        """Declare a value that goes up and down."""
        return cls(name, help, tuple(labels), MetricKind.GAUGE)

    @classmethod
    def counter(cls, name: str, help: str, labels: Sequence[str] = ()) -> "Metric":
        """Declare a total that starts at 0 and only increases."""
        return cls(name, help, tuple(labels), MetricKind.COUNTER)

    @classmethod
    def histogram(
        cls,
        name: str,
        help: str,
        labels: Sequence[str] = (),
        buckets: Sequence[float] = COMMON_BUCKETS,
    ) -> "Metric":
        """Declare observations counted in buckets; only `Context.histogram` can record them."""
        return cls(name, help, tuple(labels), MetricKind.HISTOGRAM, tuple(map(float, buckets)))

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
        _require(
            bool(families) and all(isinstance(family, Metric) for family in families),
            "a collector must declare at least one metric family, and only those",
            "pass a list of Metric as its first argument",
        )
        name = self.name or families[0].name
        _require_function(self.run, f"collector {name}")
        _require(
            all(family.kind is not MetricKind.HISTOGRAM for family in families),
            f"collector {name}: histograms are not collected",
            "fill them through context.histogram, and leave them out of the collector",
        )
        object.__setattr__(self, "families", families)
        object.__setattr__(self, "name", name)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The times at which a job's work is due, and how late it may be done.

    `crontab` is a crontab expression of five fields, in the time zone `time_zone` (an IANA name).
    Work not done `margin` seconds after it was due is a missed run, which the host logs and counts.
    """

    crontab: str
    time_zone: str = "UTC"
    margin: float = 300.0

    def __post_init__(self) -> None:
        """Raise DeclarationError if the declaration breaks the contract."""
        where = f"schedule {self.crontab!r}"
        try:
            zone = ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise DeclarationError(
                f"{where}: unknown time zone {self.time_zone!r}", "use a name like Europe/Istanbul"
            ) from None
        try:
            CronSim(self.crontab, datetime.now(zone))
        except CronSimError as error:
            raise DeclarationError(f"{where}: {error}", "write it like '30 15 * * 1-5'") from None
        _require(self.margin > 0, f"{where}: margin must be more than 0 seconds", "raise it")

    def last_due(self, now: datetime) -> datetime:
        """Return the latest time, at or before the aware `now`, at which work was due."""
        local = now.astimezone(ZoneInfo(self.time_zone))
        # Search backwards from a minute later: CronSim excludes the time that it starts from.
        times = CronSim(self.crontab, local + timedelta(minutes=1), reverse=True)
        return next(due for due in times if due <= local)


class JobResult(StrEnum):
    """The result of a job run that did not fail: is the work that was due done?

    A job that returns None has done it. `PENDING` means that it is still to be done: the source has
    nothing yet, or another replica is doing it.
    """

    DONE = "done"
    PENDING = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Declares work that the host runs periodically, one run at a time.

    `every` is the pause from the end of one run to the start of the next, in seconds, with a jitter
    of 10%. A failed run is retried with growing pauses of at most `every`. `timeout` limits one
    run, in seconds. The first run begins right after the plugin's start. `schedule` says when work
    is due, so that the host can report missed runs; `every` should be well below its margin.
    """

    name: str
    run: Callable[[], Awaitable[JobResult | None]] | Callable[[], JobResult | None]
    every: float
    timeout: float
    schedule: Schedule | None = None

    def __post_init__(self) -> None:
        """Raise DeclarationError if the declaration breaks the contract."""
        where = f"job {self.name!r}"
        _require(
            _matches(PROBE_NAME, self.name),
            f"{where}: the name must match {PROBE_NAME.pattern}",
            _rename(self.name),
        )
        _require_function(self.run, where)
        _require(self.every >= 1, f"{where}: every must be at least 1 second", "raise it")
        _require(self.timeout > 0, f"{where}: timeout must be more than 0 seconds", "raise it")
        _require(
            self.schedule is None or isinstance(self.schedule, Schedule),
            f"{where}: schedule must be a Schedule",
            "write it like Schedule('30 15 * * 1-5', 'Europe/Istanbul')",
        )


def _word(code: Scalar) -> str:
    return code if isinstance(code, str) else str(code)


def _matches(pattern: re.Pattern[str], name: object) -> bool:
    return isinstance(name, str) and pattern.fullmatch(name) is not None


def _require(condition: bool, problem: str, hint: str) -> None:
    if not condition:
        raise DeclarationError(problem, hint)


def _require_function(run: object, where: str) -> None:
    if callable(run):
        return
    problem, hint = f"{where}: run must be a function or an async function", "pass a method"
    if inspect.iscoroutine(run):
        hint = f"pass the function itself, without parentheses: run={run.__qualname__}"
        run.close()  # or Python would warn that it was never awaited
    elif isinstance(run, Check | Iterable | None):
        hint = "pass the function itself, without parentheses, such as run=self.check"
    raise DeclarationError(f"{problem}, not {type(run).__name__}", hint)


def _rename(name: object) -> str:
    """Return a hint with a name that is allowed."""
    plain = re.sub(r"[^a-z0-9]+", "_", str(name).lower()).strip("_")[:35]
    plain = plain if plain[:1].isalpha() else f"check_{plain}".rstrip("_")
    return f"rename it, for example to {plain!r}"
