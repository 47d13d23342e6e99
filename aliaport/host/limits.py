"""Records limits that were reached: each is logged once in a while, and always counted."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aliaport.metrics.registry import Samples
from aliaport.plugin import Logger

REPEAT_SECONDS = 600.0
"""Seconds until a limit that is reached again is logged again, with the count since."""

MAX_SUBJECTS = 100
"""Plugins, listeners or clients for which one limit is logged separately in REPEAT_SECONDS."""


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


@dataclass(slots=True)
class _Repeats:
    """How often a limit was reached with the same fields since the last log line about it."""

    count: int = 0
    log_again_at: float = 0.0


_Fields = tuple[tuple[str, Any], ...]


class LimitLog:
    """Logs and counts the limits that were reached. May be used from any thread.

    `clock` returns seconds that never run backwards.
    """

    def __init__(self, log: Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: dict[str, LimitCount] = {}
        self._repeats: dict[str, dict[_Fields, _Repeats]] = {}

    def declare(self, limits: Iterable[Limit]) -> None:
        """Export these limits with a count of 0: a rate needs the value before the first one."""
        for limit in limits:
            self._counts.setdefault(limit.name, LimitCount())

    def record(
        self, limit: Limit, details: Callable[[], Mapping[str, Any]] | None = None, **fields: Any
    ) -> None:
        """Count that `limit` was reached; log it unless that was done recently with these fields.

        `details` returns further fields, and is called only if it is logged.
        """
        with self._lock:
            known = self._counts.setdefault(limit.name, LimitCount())
            known.count += 1
            known.last_at = time.time()
            count = self._count_repeats(limit.name, tuple(fields.items()))
        if count:
            log = self._log.info if limit.level == "info" else self._log.warning
            further = {} if details is None else details()
            log(limit.name, count=count, hint=limit.hint, **fields, **further)

    def _count_repeats(self, name: str, fields: _Fields) -> int:
        """Return how many to report now, or 0."""
        now = self._clock()
        known = self._repeats.setdefault(name, {})
        if fields not in known and len(known) >= MAX_SUBJECTS:
            known = {key: repeats for key, repeats in known.items() if repeats.log_again_at > now}
            self._repeats[name] = known
            if len(known) >= MAX_SUBJECTS:
                fields = ()  # one line for all others
        repeats = known.setdefault(fields, _Repeats())
        repeats.count += 1
        if now < repeats.log_again_at:
            return 0
        count, repeats.count = repeats.count, 0
        repeats.log_again_at = now + REPEAT_SECONDS
        return count

    def reached(self) -> list[tuple[str, LimitCount]]:
        """Return the limits that were reached since the start, by name."""
        return sorted((name, known) for name, known in self._counts.items() if known.count)

    def samples(self) -> Samples:
        """Return the count of each limit."""
        return {(name,): float(known.count) for name, known in dict(self._counts).items()}
