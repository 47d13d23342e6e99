"""How much is sent to Sentry: which requests are traced, and how often one error is reported."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

MAX_PER_PERIOD = 20
PERIOD = 60.0
"""In seconds."""

MAX_KEYS = 1_000
"""Keys that are kept; beyond, all are forgotten."""

UNTRACED = frozenset({"/health", "/ready", "/metrics"})
"""Paths that machines ask again and again; their traces would bury the others."""


def default_rate(environment: str) -> float:
    """The share of requests that is traced where nothing else is configured."""
    return 1.0 if environment == "development" else 0.1


def make_sampler(rate: float) -> Callable[[Mapping[str, Any]], float]:
    """Return the decision on a request: 0 for UNTRACED with and without final slash, else `rate`.

    What the caller's own trace decided does not count: strangers must not choose what we send.
    """

    def sample(context: Mapping[str, Any]) -> float:
        request = context.get("aiohttp_request")
        if request is not None and request.path.removesuffix("/") in UNTRACED:
            return 0.0
        return rate

    return sample


class Quota:
    """Counts by key; any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, ...], tuple[float, int]] = {}

    def admit(self, key: tuple[str, ...]) -> int | None:
        """Return how many were left out since the last that got through; None to leave this out."""
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
