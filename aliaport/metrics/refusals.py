"""Samples that cannot be exported: described, counted, and logged once per family."""

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from aliaport.plugin import Logger
from aliaport.printable import plain_text
from aliaport.redaction import shorten

MAX_REPORTED = 200
"""Maximum number of families per plugin whose refused samples are logged; all are counted."""

_NAME_LIMIT = 100
_VALUE_LIMIT = 60
_LABELS_LIMIT = 10


@dataclass(frozen=True, slots=True)
class RefusedSample:
    """A sample that cannot be exported, as plain, bounded text.

    `declared` and `given` are names of labels. `kind` is the reason under which it is counted.
    """

    family: str
    problem: str
    hint: str
    declared: str = ""
    given: str = ""
    value: str = ""
    kind: str = "invalid"

    def __str__(self) -> str:
        """Return text like `aliaport_x_free: the labels differ (declared: a; given: b); …`."""
        return (
            f"{self.family or 'a collector'}: {self.problem} (declared labels: "
            f"{self.declared or 'none'}; given: {self.given or 'none'}; value: "
            f"{self.value or 'none'}); {self.hint}"
        )


def name_text(name: object) -> str:
    """Return a name as bounded text, without running code of its class."""
    if not isinstance(name, str):
        return type(name).__name__[:_NAME_LIMIT]
    return plain_text(shorten(name, _NAME_LIMIT))


def names_text(names: Iterable[object]) -> str:
    """Return names as one bounded text."""
    listed = [name_text(name) for name in names]
    more = ["…"] if len(listed) > _LABELS_LIMIT else []
    return ", ".join([*listed[:_LABELS_LIMIT], *more])


def value_text(value: object) -> str:
    """Return a value as bounded text, without running code of its class."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float):
        return float.__repr__(value)
    if isinstance(value, int):
        bits = int.bit_length(value)
        return int.__repr__(value) if bits <= 128 else f"an integer of {bits} bits"
    if isinstance(value, str):
        return plain_text(str.__repr__(shorten(value, _VALUE_LIMIT)))
    return type(value).__name__[:_VALUE_LIMIT]


class Refusals:
    """The refused samples of all plugins. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._first: dict[tuple[str, str], RefusedSample] = {}
        self._reported: Counter[str] = Counter()

    def report(self, owner: str, refused: RefusedSample, log: Logger) -> None:
        """Log the first refused sample of each family of `owner`, as a warning."""
        key = owner, refused.family
        with self._lock:
            if key in self._first or self._reported[owner] >= MAX_REPORTED:
                return
            self._first[key] = refused
            self._reported[owner] += 1
        log.warning(
            "metric.sample_refused",
            family=refused.family,
            reason=refused.problem,
            declared=refused.declared,
            given=refused.given,
            value=refused.value,
            hint=refused.hint,
        )

    def listed(self) -> list[tuple[str, RefusedSample]]:
        """Return the owner and the first refused sample of each family, the oldest first."""
        with self._lock:
            return [(owner, refused) for (owner, _), refused in self._first.items()]
