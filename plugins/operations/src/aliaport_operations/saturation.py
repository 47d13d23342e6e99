"""Load of the API in this process: written by the HTTP loop, read by the probe's thread."""

import time
from collections import deque

RECENT = 60.0
"""Seconds for which a refused request counts as recent."""


class Saturation:
    """Used connections, waiting and failed requests. Only the HTTP loop may write it."""

    def __init__(self) -> None:
        self.running = False
        self.max_connections = 0
        self.used = 0
        self.waiting = 0
        self._shed: deque[float] = deque(maxlen=100_000)
        self._timed_out: deque[float] = deque(maxlen=100_000)
        self.last_timeout = ""

    def begin(self, max_connections: int) -> None:
        """Record that the API starts with a pool of `max_connections`."""
        self.running, self.max_connections, self.used, self.waiting = True, max_connections, 0, 0

    def end(self) -> None:
        """Record that the API has stopped."""
        self.running = False

    def shed(self) -> None:
        """Record a refused request."""
        self._shed.append(time.monotonic())

    def recently_shed(self) -> int:
        """Return how many requests were refused within the last minute."""
        return _recent(self._shed)

    def timed_out(self, cause: str) -> None:
        """Record a request whose statement took too long, and the cause."""
        self.last_timeout = cause
        self._timed_out.append(time.monotonic())

    def recently_timed_out(self) -> int:
        """Return in how many requests of the last minute a statement took too long."""
        return _recent(self._timed_out)


def _recent(times: deque[float]) -> int:
    since = time.monotonic() - RECENT
    return sum(1 for happened_at in tuple(times) if happened_at > since)


SATURATION = Saturation()
"""Shared by the application and the plugin's probe: a process mounts the application once."""
