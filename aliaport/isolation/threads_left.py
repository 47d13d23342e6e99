"""Counts the threads that a plugin's failed attempts to start left running: none can be ended."""

import threading
from typing import ClassVar

_REUSED = ("plugin-", "asyncio_")
"""Prefixes of the names of threads that are bounded: of bulkheads, and of event loops."""


class ThreadsLeft:
    """The threads that began during one plugin's failed attempts and still run.

    A thread does not know who started it. So threads are not counted that began while another
    plugin was starting too, which `alone` says. Use it on the HTTP loop only.
    """

    _starting: ClassVar[set["ThreadsLeft"]] = set()

    def __init__(self) -> None:
        self._attempts: list[list[threading.Thread]] = []
        self._before: set[threading.Thread] = set()
        self.alone = True

    def begin(self) -> None:
        """Note the threads that exist before an attempt."""
        self._before = set(threading.enumerate())
        self.alone = not self._starting
        for other in self._starting:
            other.alone = False
        self._starting.add(self)

    def end(self, *, failed: bool) -> None:
        """Note the threads that the attempt has left, if it failed."""
        self._starting.discard(self)
        if failed and self.alone:
            born = set(threading.enumerate()) - self._before
            self._attempts.append([t for t in born if not t.name.startswith(_REUSED)])
        self._before = set()

    def alive(self) -> list[list[threading.Thread]]:
        """Return the threads that still run, one list for each attempt that left any."""
        running = [[t for t in threads if t.is_alive()] for threads in self._attempts]
        self._attempts = [threads for threads in running if threads]
        return self._attempts
