"""Pieces of PromQL that many panels share."""

from dataclasses import dataclass

JOB = 'job=~"$job"'
INSTANCE = 'instance=~"$instance"'

USERS = 'endpoint!~"/(health|ready|status.*|metrics)?|unmatched"'
"""Requests of users. /ready answers 503 by design, probes and scrapes would dilute, and scanners of
the internet ask for paths that do not exist. The rules leave out the same ones."""

DISKS = 'fstype!~"tmpfs|ramfs|overlay|squashfs|nsfs|iso9660|fuse.*"'
"""File systems that can fill up; as in the rules."""

WITHIN_A_SECOND = 'le=~"1([.]0)?"'
"""The bucket of one second, which Prometheus 3 writes as 1.0 whatever the program wrote."""


@dataclass(frozen=True)
class Query:
    """One question to Prometheus, and how its answers are called."""

    expr: str
    legend: str


def of(name: str, *matchers: str) -> str:
    """A selector of the chosen targets' series."""
    return f"{name}{{{','.join((JOB, INSTANCE, *matchers))}}}"


def recorded(name: str, *matchers: str) -> str:
    """A selector of a recorded series: it is of a job, no longer of an instance."""
    return f"{name}{{{','.join((JOB, *matchers))}}}"


def rate(name: str, *matchers: str) -> str:
    """A counter's speed over what Grafana finds enough for the zoom at hand."""
    return f"rate({of(name, *matchers)}[$__rate_interval])"


def grown(name: str, *matchers: str, over: str = "$__rate_interval") -> str:
    """By how much a counter grew."""
    return f"increase({of(name, *matchers)}[{over}])"


def added(name: str, label: str, *, over: str) -> str:
    """By how much a total in the database grew.

    Every replica reads the same total, which never falls: its least value within the time is that
    of the beginning, whichever replica was there then. Restarts do not matter, and no fractions
    come out, as they do from the counters of the processes.
    """
    return f"max by ({label}) ({of(name)}) - min by ({label}) (min_over_time({of(name)}[{over}]))"


def share(part: str, whole: str, by: str = "job") -> str:
    """A ratio of sums that is 0, not missing, while no series of the part exists yet.

    While the whole stands still there is none: 0 of 0 requests is neither good nor bad.
    """
    total = f"sum by ({by}) ({whole})"
    return f"(sum by ({by}) ({part}) or 0 * {total}) / ({total} > 0)"


def quantile(share_below: float, name: str, *matchers: str, by: str = "job") -> str:
    """A quantile of a histogram over all chosen instances together."""
    buckets = rate(f"{name}_bucket", *matchers)
    return f"histogram_quantile({share_below}, sum by ({by}, le) ({buckets}))"
