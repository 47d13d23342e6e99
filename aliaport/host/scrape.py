"""The page of /metrics: what the host, the plugins and the requests give, capped per plugin."""

from collections import Counter
from collections.abc import Callable, Mapping

from aliaport.collecting import collect
from aliaport.declarations import Metric
from aliaport.exposition import Exposition
from aliaport.host import Host
from aliaport.host_metrics import FAMILIES, host_figures
from aliaport.http_metrics import DURATION, REQUESTS, HttpMetrics
from aliaport.logs.health import FAMILIES as LOG_FAMILIES
from aliaport.recorders import HOST, Figures, Recorders
from aliaport.settings import MetricsSettings


class Metrics:
    """Makes the page. Use it on the HTTP loop only.

    `loop_lag` tells the worst lag of that loop since it was last asked, in seconds; `log_figures`
    the figures of the log, by family; `app_states` the state of each mounted application, by name.
    """

    def __init__(
        self,
        host: Host,
        http: HttpMetrics,
        limits: MetricsSettings,
        *,
        loop_lag: Callable[[], float],
        log_figures: Callable[[], dict[str, Figures]],
        app_states: Callable[[], Mapping[str, str]],
    ) -> None:
        self._host = host
        self._http = http
        self._limits = limits
        self._loop_lag = loop_lag
        self._log_figures = log_figures
        self._app_states = app_states
        self._exposition = Exposition()

    async def page(self, budget: float) -> bytes:
        """Return what is there after at most `budget` seconds of collecting."""
        gathered = await gather(self._host, self._limits, budget)
        own = self._log_figures() | host_figures(
            self._host, loop_lag=self._loop_lag(), app_states=self._app_states()
        )
        families: list[tuple[Metric, Figures]] = [*self._http.families()]
        for name, metric in sorted(dict(self._host.recorders.families).items()):
            if name not in (REQUESTS.name, DURATION.name):
                families.append((metric, own.get(name) or gathered.get(name) or {}))
        return await self._exposition.page(families)


def declare_host_families(recorders: Recorders) -> None:
    """Reserve the names of the host's own families, before any plugin can take them."""
    for metric in (REQUESTS, DURATION, *FAMILIES, *LOG_FAMILIES):
        recorders.declare(metric, HOST)


async def gather(host: Host, limits: MetricsSettings, budget: float) -> dict[str, Figures]:
    """Collect from all running plugins at once; what exceeds a limit is dropped and counted."""
    recorders = host.recorders
    collected = await collect(host.collectors, budget)
    gathered = recorders.snapshot()
    total = 0
    per_plugin: Counter[str] = Counter()
    per_family: Counter[tuple[str, str]] = Counter()
    for runner, collection in collected:
        dropped = Counter(collection.dropped)
        for series in collection.series:
            figures = gathered.setdefault(series.family, {})
            if series.labels in figures:
                dropped["duplicate"] += 1
            elif per_family[runner.plugin, series.family] >= limits.max_series_per_family:
                dropped["family_cap"] += 1
            elif per_plugin[runner.plugin] >= limits.max_series_per_plugin:
                dropped["plugin_cap"] += 1
            elif total >= limits.max_series:
                dropped["total_cap"] += 1
            else:
                figures[series.labels] = series.value
                per_family[runner.plugin, series.family] += 1
                per_plugin[runner.plugin] += 1
                total += 1
        for reason, number in dropped.items():
            recorders.count_dropped(runner.plugin, reason, number)
    return gathered
