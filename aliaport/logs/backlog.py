"""A bounded backlog of entries that wait for the disk; the least important are dropped first."""

import threading
from collections import Counter, deque
from collections.abc import Callable

from aliaport.logs.requests import AnyEntry

MAX_ENTRIES = 100_000
MAX_WEIGHT = 64_000_000
"""Maximum entries, and characters of long texts, that wait for one file."""

SHED = 0.1
"""Fraction of a full backlog to drop at once: dropping one by one would slow every caller."""


class Backlog:
    """Holds entries that any thread adds and one takes; `wake` is called if that one may sleep."""

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

    def take(self, limit: int) -> list[AnyEntry]:
        """Remove and return up to `limit` of the oldest entries."""
        with self._lock:
            taken = [self._entries.popleft() for _ in range(min(limit, len(self._entries)))]
            self._weight -= sum(entry.weight for entry in taken)
        return taken

    def _shed(self) -> None:
        with self._lock:
            waiting = [self._entries.popleft() for _ in range(len(self._entries))]
            if len(waiting) <= self.limit and self._weight <= MAX_WEIGHT:
                self._entries.extendleft(reversed(waiting))
                return
            room = int(self.limit * (1 - SHED)), int(MAX_WEIGHT * (1 - SHED))
            keep = _choose_kept(waiting, *room)
            for entry, kept in zip(waiting, keep, strict=True):
                if not kept:
                    self.dropped[entry.level] += 1
                    self._weight -= entry.weight
            kept_entries = [entry for entry, kept in zip(waiting, keep, strict=True) if kept]
            self._entries.extendleft(reversed(kept_entries))


def _choose_kept(entries: list[AnyEntry], number: int, weight: int) -> list[bool]:
    """Return which entries to keep: the most important and, among equals, the newest."""
    keep = [False] * len(entries)
    order = sorted(range(len(entries)), key=lambda index: (-entries[index].importance, -index))
    for index in order:
        if number == 0 or entries[index].weight > weight:
            continue
        keep[index] = True
        number -= 1
        weight -= entries[index].weight
    return keep
