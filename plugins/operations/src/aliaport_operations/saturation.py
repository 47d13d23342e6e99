"""How busy the API of this process is: the HTTP loop writes it, the probe's thread reads it."""

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
        """Note that the API starts with a pool of `max_connections`."""
        self.running, self.max_connections, self.used, self.waiting = True, max_connections, 0, 0

    def end(self) -> None:
        """Note that the API has stopped."""
        self.running = False

    def shed(self) -> None:
        """Note a refused request."""
        self._shed.append(time.monotonic())

    def recently_shed(self) -> int:
        """Return how many requests were refused within the last minute."""
        since = time.monotonic() - RECENT
        return sum(1 for moment in tuple(self._shed) if moment > since)


SATURATION = Saturation()
"""Shared by the application and the plugin's probe: a process mounts the application once."""
