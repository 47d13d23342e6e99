"""The /metrics page: samples of the host, the plugins and the requests, capped per plugin."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from aliaport.contract.declarations import Metric
from aliaport.host.host import Host
from aliaport.host.limits import Limit, LimitLog
from aliaport.host.own_metrics import FAMILIES, host_samples
from aliaport.host.process_metrics import PROCESS_FAMILIES, process_families
from aliaport.logs.health import FAMILIES as LOG_FAMILIES
from aliaport.metrics.collectors import CollectorRunner, collect
from aliaport.metrics.exposition import Exposition
from aliaport.metrics.http import DURATION, REQUESTS, HttpMetrics
from aliaport.metrics.registry import HOST, MetricRegistry, Samples
from aliaport.metrics.samples import Collection, duplicate
from aliaport.settings import MetricsSettings

SERIES_DROPPED = Limit(
    "metrics.series_dropped",
    "samples beyond the limits of [metrics] are not exported; find the label with too many values, "
    "or raise the limit",
)

_PLACED = {metric.name for metric in (REQUESTS, DURATION, *PROCESS_FAMILIES)}
"""The first families of a page and the last ones; the others are sorted."""


class Metrics:
    """Renders the page. Use it on the HTTP loop only.

    `loop_lag` returns the worst lag of that loop since the last call, in seconds, `log_samples` the
    samples of the log by family, `app_states` the state of each mounted application by name,
    `connections` how many each listener has and may have.
    """

    def __init__(
        self,
        host: Host,
        http: HttpMetrics,
        series_limits: MetricsSettings,
        *,
        loop_lag: Callable[[], float],
        log_samples: Callable[[], dict[str, Samples]],
        app_states: Callable[[], Mapping[str, str]],
        limits: LimitLog,
        connections: Callable[[], Mapping[str, tuple[int, int]]],
    ) -> None:
        self._host = host
        self._http = http
        self._series_limits = series_limits
        self._loop_lag = loop_lag
        self._log_samples = log_samples
        self._app_states = app_states
        self._limits = limits
        self._connections = connections
        self._exposition = Exposition()
        self._dropped: dict[tuple[str, str], int] = {}
        self._declared = 0
        self._ordered: list[tuple[str, Metric]] = []
        limits.declare([SERIES_DROPPED])

    async def gather(self, budget: float) -> dict[str, Samples]:
        """Return everything that the plugins provide within `budget` seconds."""
        host = self._host
        gathered = await gather(host.registry, host.collectors, self._series_limits, budget)
        self._record_dropped()
        return gathered

    def _record_dropped(self) -> None:
        """Record the limits on series that were exceeded since the last call."""
        dropped = self._host.registry.dropped_series()
        for (plugin, reason), number in dropped.items():
            if reason.endswith("_cap") and number > self._dropped.get((plugin, reason), 0):
                self._limits.record(SERIES_DROPPED, plugin=plugin, reason=reason)
        self._dropped = dropped

    async def page(self, gathered: dict[str, Samples]) -> bytes:
        """Return the page of what was gathered, with the samples of the host itself."""
        own = self._log_samples() | host_samples(
            self._host,
            loop_lag=self._loop_lag(),
            app_states=self._app_states(),
            limits=self._limits,
            connections=self._connections(),
        )
        families: list[tuple[Metric, Samples]] = [*self._http.families()]
        for name, metric in self._in_order():
            families.append((metric, own.get(name) or gathered.get(name) or {}))
        return await self._exposition.page(families, process_families)

    def _in_order(self) -> list[tuple[str, Metric]]:
        """Return the families but those of HTTP and of the process, by name; none is removed."""
        families = self._host.registry.families
        if len(families) != self._declared:
            declared = dict(families)  # at once: plugins declare more in their threads
            self._declared = len(declared)
            names = declared.keys() - _PLACED
            self._ordered = [(name, declared[name]) for name in sorted(names)]
        return self._ordered


def declare_host_families(registry: MetricRegistry) -> None:
    """Reserve the names of the host's own families, before any plugin can claim them."""
    for metric in (REQUESTS, DURATION, *FAMILIES, *LOG_FAMILIES, *PROCESS_FAMILIES):
        registry.declare(metric, HOST)


async def gather(
    registry: MetricRegistry,
    collectors: Sequence[CollectorRunner],
    limits: MetricsSettings,
    budget: float,
) -> dict[str, Samples]:
    """Run all collectors concurrently; return their samples and those that plugins wrote directly.

    Drops and counts what exceeds a limit.
    """
    return merge(registry, await collect(collectors, budget), limits)


def merge(
    registry: MetricRegistry,
    collected: Sequence[tuple[CollectorRunner, Collection]],
    limits: MetricsSettings,
) -> dict[str, Samples]:
    """Return the collected samples and those that plugins wrote directly, as `gather` does."""
    gathered = registry.snapshot()
    total = 0
    per_plugin: Counter[str] = Counter()
    per_family: Counter[tuple[str, str]] = Counter()
    for runner, collection in collected:
        dropped = Counter(collection.dropped)
        for series in collection.series:
            samples = gathered.setdefault(series.family, {})
            if series.labels in samples:
                dropped["duplicate"] += 1
                runner.refuse(duplicate(registry.families[series.family], series))
            elif per_family[runner.plugin, series.family] >= limits.max_series_per_family:
                dropped["family_cap"] += 1
            elif per_plugin[runner.plugin] >= limits.max_series_per_plugin:
                dropped["plugin_cap"] += 1
            elif total >= limits.max_series:
                dropped["total_cap"] += 1
            else:
                samples[series.labels] = series.value
                per_family[runner.plugin, series.family] += 1
                per_plugin[runner.plugin] += 1
                total += 1
        for reason, number in dropped.items():
            registry.count_dropped(runner.plugin, reason, number)
    return gathered
