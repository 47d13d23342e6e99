"""Lets one and the same error through only so often: a storm must not occupy the threads."""

import threading
import time

MOST_PER_PERIOD = 20
PERIOD = 60.0
"""In seconds."""

MOST_KEYS = 1_000
"""Keys that are kept; beyond, all are forgotten."""


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
                left_out = max(0, count - MOST_PER_PERIOD)
                began, count = now, 0
            if key not in self._seen and len(self._seen) >= MOST_KEYS:
                self._seen.clear()
            self._seen[key] = began, count + 1
            return left_out if count < MOST_PER_PERIOD else None
