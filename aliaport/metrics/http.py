"""Counts HTTP requests in plain accumulators, which cost a fraction of a metrics library's call."""

from bisect import bisect_left
from collections import defaultdict

from aliaport.contract.declarations import Metric, MetricKind
from aliaport.metrics.registry import HistogramValue, Samples

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0, 2.5, 5.0, 10.0)
REQUESTS = Metric(
    "aliaport_http_requests_total",
    "HTTP requests, by method, route and status code.",
    ("method", "endpoint", "status"),
    MetricKind.COUNTER,
)
DURATION = Metric(
    "aliaport_http_request_duration_seconds",
    "Time from the head of a request to the end of its response.",
    ("method", "endpoint"),
    MetricKind.HISTOGRAM,
    BUCKETS,
)
UNMATCHED = "unmatched"
_METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])


class _Series:
    """The counts of one method and endpoint, and the status of its last response."""

    __slots__ = ("buckets", "last_status", "seconds", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0
        self.last_status = 0


class HttpMetrics:
    """The two HTTP families of the specification. Use it on the HTTP loop only."""

    def __init__(self) -> None:
        self._series: defaultdict[tuple[str, str], _Series] = defaultdict(_Series)

    def expect(self, method: str, endpoint: str, *statuses: int) -> None:
        """Create the series of a known route, at 0."""
        counts = self._series[method, endpoint].statuses
        for status in statuses:
            counts.setdefault(status, 0)

    def record(self, method: str, endpoint: str, status: int, seconds: float) -> int:
        """Count one request; an unknown method is counted as OTHER.

        Returns the status of the last response before, or the same one if there was none.
        """
        series = self._series[method if method in _METHODS else "OTHER", endpoint]
        series.statuses[status] = series.statuses.get(status, 0) + 1
        series.buckets[bisect_left(BUCKETS, seconds)] += 1
        series.seconds += seconds
        before, series.last_status = series.last_status, status
        return before or status

    def families(self) -> list[tuple[Metric, Samples]]:
        """Return a copy of both families."""
        requests: Samples = {
            (*labels, str(status)): float(count)
            for labels, series in self._series.items()
            for status, count in series.statuses.items()
        }
        durations: Samples = {
            labels: HistogramValue(tuple(series.buckets), series.seconds)
            for labels, series in self._series.items()
        }
        return [(REQUESTS, requests), (DURATION, durations)]
