"""Limits what is sent to Sentry: which requests are traced, and how often an error is sent."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

MAX_PER_PERIOD = 20
PERIOD = 60.0
"""Seconds."""

MAX_KEYS = 1_000
"""Maximum keys to remember; one more clears them all."""

UNTRACED = frozenset({"/health", "/ready", "/metrics"})
"""Paths that machines request all the time; their traces would bury the others."""


def default_rate(environment: str) -> float:
    """Return the share of requests to trace if none is configured."""
    return 1.0 if environment == "development" else 0.1


def make_sampler(rate: float) -> Callable[[Mapping[str, Any]], float]:
    """Return the sampler: 0 for UNTRACED, with or without a final slash, otherwise `rate`.

    It ignores the decision of the caller's own trace: callers must not choose what we send.
    """

    def sample(context: Mapping[str, Any]) -> float:
        request = context.get("aiohttp_request")
        if request is not None and request.path.removesuffix("/") in UNTRACED:
            return 0.0
        return rate

    return sample


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
