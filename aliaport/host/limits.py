"""Records limits that were reached: each is logged once in a while, and always counted."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from aliaport.metrics.registry import Samples
from aliaport.plugin import Logger

REPEAT_SECONDS = 600.0
"""Seconds until a limit that is reached again is logged again, with the count since."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit. `name` is its log event, `hint` says what to do when it is reached."""

    name: str
    hint: str
    level: Literal["info", "warning"] = "warning"


@dataclass(slots=True)
class LimitCount:
    """How often a limit was reached; `last_at` is in seconds since the epoch."""

    count: int = 0
    last_at: float = 0.0
    logged_count: int = 0
    log_again_at: float = 0.0


class LimitLog:
    """Logs and counts the limits that were reached. May be used from any thread.

    `clock` returns seconds that never run backwards.
    """

    def __init__(self, log: Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: dict[str, LimitCount] = {}

    def declare(self, limits: Iterable[Limit]) -> None:
        """Export these limits with a count of 0: a rate needs the value before the first one."""
        for limit in limits:
            self._counts.setdefault(limit.name, LimitCount())

    def record(self, limit: Limit, **fields: Any) -> None:
        """Count that `limit` was reached; log it with `fields` unless that was done recently."""
        now = self._clock()
        with self._lock:
            known = self._counts.setdefault(limit.name, LimitCount())
            known.count += 1
            known.last_at = time.time()
            if now < known.log_again_at:
                return
            known.log_again_at = now + REPEAT_SECONDS
            count = known.count - known.logged_count
            known.logged_count = known.count
        log = self._log.info if limit.level == "info" else self._log.warning
        log(limit.name, count=count, hint=limit.hint, **fields)

    def reached(self) -> list[tuple[str, LimitCount]]:
        """Return the limits that were reached since the start, by name."""
        return sorted((name, known) for name, known in self._counts.items() if known.count)

    def samples(self) -> Samples:
        """Return the count of each limit."""
        return {(name,): float(known.count) for name, known in dict(self._counts).items()}
