"""The drain before the stop: its state, and the health checks that it is long enough for."""

import time
from dataclasses import dataclass

FAILED_CHECKS = 2
"""Checks that fail before a load balancer removes a replica, as the documentation configures it."""

CHECK_TIMEOUT = 1.0
"""Seconds that a load balancer waits for the response to a check; /ready responds within 0.8 s."""


def max_check_interval(drain_seconds: float) -> float:
    """Return the interval of checks, in seconds, below which the drain outlasts the removal.

    A load balancer sends requests to a replica until `FAILED_CHECKS` checks have failed. That takes
    up to interval × `FAILED_CHECKS` + `CHECK_TIMEOUT`. 0 means that no interval is short enough.
    """
    return max(0.0, round((drain_seconds - CHECK_TIMEOUT) / FAILED_CHECKS, 2))


@dataclass(slots=True)
class Drain:
    """The drain before the stop; the listeners close at `ends_at`, a monotonic time."""

    active: bool = False
    ends_at: float = 0.0

    def retry_after(self) -> int:
        """Return the seconds until load balancers use another replica, at least 1."""
        return max(1, round(self.ends_at - time.monotonic()))
