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


class HttpMetrics:
    """The two HTTP families of the specification. Use it on the HTTP loop only."""

    def __init__(self) -> None:
        self._requests: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self._durations: dict[tuple[str, str], list[float]] = {}

    def expect(self, method: str, endpoint: str, *statuses: int) -> None:
        """Create the series of a known route, at 0."""
        for status in statuses:
            self._requests[method, endpoint, status] += 0
        self._durations.setdefault((method, endpoint), [0.0] * (len(BUCKETS) + 2))

    def record(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        """Count one request; an unknown method is counted as OTHER."""
        if method not in _METHODS:
            method = "OTHER"
        self._requests[method, endpoint, status] += 1
        buckets = self._durations.get((method, endpoint))
        if buckets is None:
            buckets = self._durations[method, endpoint] = [0.0] * (len(BUCKETS) + 2)
        buckets[bisect_left(BUCKETS, seconds)] += 1
        buckets[-1] += seconds

    def families(self) -> list[tuple[Metric, Samples]]:
        """Return a copy of both families."""
        requests: Samples = {
            (method, endpoint, str(status)): float(count)
            for (method, endpoint, status), count in self._requests.items()
        }
        durations: Samples = {
            labels: HistogramValue(tuple(map(int, buckets[:-1])), buckets[-1])
            for labels, buckets in self._durations.items()
        }
        return [(REQUESTS, requests), (DURATION, durations)]
