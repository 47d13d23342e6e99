"""Load of the API in this process: written by the HTTP loop, read by the probe's thread."""

import time
from collections import deque

RECENT = 60.0
"""Seconds for which a refused request counts as recent."""


class Saturation:
    """Used connections, waiting requests and refusals. Only the HTTP loop may write it."""

    def __init__(self) -> None:
        self.running = False
        self.max_connections = 0
        self.used = 0
        self.waiting = 0
        self._shed: deque[float] = deque(maxlen=100_000)

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
        since = time.monotonic() - RECENT
        return sum(1 for refused_at in tuple(self._shed) if refused_at > since)


SATURATION = Saturation()
"""Shared by the application and the plugin's probe: a process mounts the application once."""
