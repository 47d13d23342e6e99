"""Entries that wait for the disk: bounded, the least important dropped first and counted."""

import threading
from collections import Counter, deque
from collections.abc import Callable

from aliaport.logs.requests import AnyEntry

MAX_ENTRIES = 100_000
MAX_WEIGHT = 64_000_000
"""Entries, and characters of long texts, that may wait for one file."""

SHED = 0.1
"""Part of a full backlog that is dropped at once: dropping one by one would cost every caller."""


class Backlog:
    """Any thread puts, one thread takes. `wake` is called where the taker may be asleep."""

    def __init__(self, wake: Callable[[], None], limit: int = MAX_ENTRIES) -> None:
        self.asleep = False
        self.dropped: Counter[str] = Counter()
        self._wake = wake
        self.limit = limit
        self._entries: deque[AnyEntry] = deque()
        self._lock = threading.Lock()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, entry: AnyEntry) -> None:
        """Add an entry; never waits for the disk."""
        entries = self._entries
        entries.append(entry)
        if entry.weight:
            with self._lock:
                self._weight += entry.weight
        if len(entries) > self.limit or self._weight > MAX_WEIGHT:
            self._shed()
        if self.asleep:
            self.asleep = False
            self._wake()

    def take(self, most: int) -> list[AnyEntry]:
        """Remove and return the oldest entries."""
        with self._lock:
            taken = [self._entries.popleft() for _ in range(min(most, len(self._entries)))]
            self._weight -= sum(entry.weight for entry in taken)
        return taken

    def _shed(self) -> None:
        with self._lock:
            waiting = [self._entries.popleft() for _ in range(len(self._entries))]
            if len(waiting) <= self.limit and self._weight <= MAX_WEIGHT:
                self._entries.extendleft(reversed(waiting))
                return
            room = int(self.limit * (1 - SHED)), int(MAX_WEIGHT * (1 - SHED))
            keep = _most_important(waiting, *room)
            for entry, kept in zip(waiting, keep, strict=True):
                if not kept:
                    self.dropped[entry.level] += 1
                    self._weight -= entry.weight
            kept_entries = [each for each, kept in zip(waiting, keep, strict=True) if kept]
            self._entries.extendleft(reversed(kept_entries))


def _most_important(entries: list[AnyEntry], number: int, weight: int) -> list[bool]:
    """Which entries to keep: the most important and, among equals, the newest."""
    keep = [False] * len(entries)
    order = sorted(range(len(entries)), key=lambda at: (-entries[at].importance, -at))
    for at in order:
        if number == 0 or entries[at].weight > weight:
            continue
        keep[at] = True
        number -= 1
        weight -= entries[at].weight
    return keep
