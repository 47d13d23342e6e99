"""Limits what is sent to Sentry: how many requests are traced, and how often an error is sent."""

import threading
import time
from collections.abc import Mapping
from typing import Any

MAX_PER_PERIOD = 20
PERIOD = 60.0
"""Seconds."""

MAX_TRACES = 300
"""Traces expected in a period: callers must not be able to use up the quota, or this process."""

MAX_KEYS = 1_000
"""Maximum keys to remember; one more clears them all."""


def default_rate(environment: str) -> float:
    """Return the share of requests to trace if none is configured."""
    return 1.0 if environment == "development" else 0.1


class Sampler:
    """Returns `rate`, but 0 once that would make more than MAX_TRACES in a period.

    It ignores the decision of the caller's own trace: callers must not choose what we send.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._began = time.monotonic()
        self._expected = 0.0

    def __call__(self, _context: Mapping[str, Any]) -> float:
        """Return the probability with which the next request is traced."""
        now = time.monotonic()
        if now - self._began >= PERIOD:
            self._began, self._expected = now, 0.0
        if self._expected + self._rate > MAX_TRACES:
            return 0.0
        self._expected += self._rate
        return self._rate


class Quota:
    """Limits events by key; use it in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, ...], tuple[float, int]] = {}

    def admit(self, key: tuple[str, ...]) -> int | None:
        """Return how many were left out since the last admitted one; None to leave this out."""
        with self._lock:
            now = time.monotonic()
            began, count = self._seen.get(key, (now, 0))
            left_out = 0
            if now - began >= PERIOD:
                left_out = max(0, count - MAX_PER_PERIOD)
                began, count = now, 0
            if key not in self._seen and len(self._seen) >= MAX_KEYS:
                self._seen.clear()
            self._seen[key] = began, count + 1
            return left_out if count < MAX_PER_PERIOD else None
