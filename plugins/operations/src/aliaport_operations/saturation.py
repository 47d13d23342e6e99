"""How much the API of this process carries now: its probe runs in another thread and reads it."""

import time
from collections import deque

REMEMBER = 60.0
"""Seconds for which a refused request counts as recent."""


class Load:
    """Written by the HTTP loop only, read by any thread."""

    def __init__(self) -> None:
        self.running = False
        self.most = 0
        self.used = 0
        self.waiting = 0
        self._shed: deque[float] = deque(maxlen=100_000)

    def begin(self, most: int) -> None:
        """The API starts with a pool of `most` connections."""
        self.running, self.most, self.used, self.waiting = True, most, 0, 0

    def end(self) -> None:
        """The API is gone."""
        self.running = False

    def shed(self) -> None:
        """A request was refused."""
        self._shed.append(time.monotonic())

    def recently_shed(self) -> int:
        """How many requests were refused within the last minute."""
        since = time.monotonic() - REMEMBER
        return sum(1 for moment in tuple(self._shed) if moment > since)


LOAD = Load()
"""One service is one process, and has this application once."""
