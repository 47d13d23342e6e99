"""Pieces of PromQL that many panels share."""

from dataclasses import dataclass

JOB = 'job=~"$job"'
INSTANCE = 'instance=~"$instance"'

USERS = 'endpoint!~"/(health|ready|status.*|metrics)?|unmatched"'
"""User requests. /ready returns 503 by design, probes and scrapes would dilute the ratios, and
internet scanners request paths that do not exist. The rules exclude the same requests."""

DISKS = 'fstype!~"tmpfs|ramfs|overlay|squashfs|nsfs|iso9660|fuse.*"'
"""File systems that can fill up; the same as in the rules."""

WITHIN_A_SECOND = 'le=~"1([.]0)?"'
"""The bucket of one second; Prometheus 3 always writes it as 1.0."""


@dataclass(frozen=True)
class Query:
    """One Prometheus query, and the legend of its results."""

    expr: str
    legend: str


def of(name: str, *matchers: str) -> str:
    """Return a selector of the chosen targets' series."""
    return f"{name}{{{','.join((JOB, INSTANCE, *matchers))}}}"


def recorded(name: str, *matchers: str) -> str:
    """Return a selector of a recorded series, which has a job but no instance."""
    return f"{name}{{{','.join((JOB, *matchers))}}}"


def rate(name: str, *matchers: str) -> str:
    """Return a counter's rate over the interval that Grafana chooses for the zoom level."""
    return f"rate({of(name, *matchers)}[$__rate_interval])"


def grown(name: str, *matchers: str, over: str = "$__rate_interval") -> str:
    """Return the increase of a counter."""
    return f"increase({of(name, *matchers)}[{over}])"


def added(name: str, label: str, *, over: str) -> str:
    """Return the growth of a total in the database.

    Every replica reads the same total, which never falls: its minimum within the range is the value
    at the start, whichever replica was running then. Unlike with the counters of the processes,
    restarts do not matter and the results are whole numbers.
    """
    return f"max by ({label}) ({of(name)}) - min by ({label}) (min_over_time({of(name)}[{over}]))"


def share(part: str, whole: str, by: str = "job") -> str:
    """Return a ratio of sums that is 0, not missing, while the part has no series yet.

    While the whole does not grow, the ratio is missing: 0 of 0 requests is neither good nor bad.
    """
    total = f"sum by ({by}) ({whole})"
    return f"(sum by ({by}) ({part}) or 0 * {total}) / ({total} > 0)"


def quantile(share_below: float, name: str, *matchers: str, by: str = "job") -> str:
    """Return a quantile of a histogram over all chosen instances together."""
    buckets = rate(f"{name}_bucket", *matchers)
    return f"histogram_quantile({share_below}, sum by ({by}, le) ({buckets}))"
