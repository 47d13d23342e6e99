"""Counts HTTP requests in plain accumulators, which cost a fraction of a metrics library's call."""

from bisect import bisect_left
from collections import defaultdict

from aliaport.declarations import Metric, MetricKind
from aliaport.recorders import Distribution, Figures

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0, 2.5, 5.0, 10.0)
REQUESTS = Metric(
    "aliaport_http_requests_total",
    "HTTP requests answered, by method, route and status code.",
    ("method", "endpoint", "status"),
    MetricKind.COUNTER,
)
DURATION = Metric(
    "aliaport_http_request_duration_seconds",
    "Time from the head of a request to the end of its answer.",
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
        """Let the series of a known route exist, at 0."""
        for status in statuses:
            self._requests[method, endpoint, status] += 0
        self._durations.setdefault((method, endpoint), [0.0] * (len(BUCKETS) + 2))

    def record(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        """Count one answered request; an unknown method is counted as OTHER."""
        if method not in _METHODS:
            method = "OTHER"
        self._requests[method, endpoint, status] += 1
        figures = self._durations.get((method, endpoint))
        if figures is None:
            figures = self._durations[method, endpoint] = [0.0] * (len(BUCKETS) + 2)
        figures[bisect_left(BUCKETS, seconds)] += 1
        figures[-1] += seconds

    def families(self) -> list[tuple[Metric, Figures]]:
        """A copy of both families."""
        requests: Figures = {
            (method, endpoint, str(status)): float(count)
            for (method, endpoint, status), count in self._requests.items()
        }
        durations: Figures = {
            labels: Distribution(tuple(map(int, figures[:-1])), figures[-1])
            for labels, figures in self._durations.items()
        }
        return [(REQUESTS, requests), (DURATION, durations)]
