"""An event on its way from the thread that logs it to the thread that writes it."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from aliaport.correlation import RequestIdentity


class Importance(IntEnum):
    """Importance of an entry: the lowest is dropped first if the disk does not keep up."""

    DEBUG = 0
    ROUTINE = 1
    INFO = 2
    WARNING = 3
    ERROR = 4


LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
"""The levels by name, with their numbers in the standard library."""

IMPORTANCE = {
    "debug": Importance.DEBUG,
    "info": Importance.INFO,
    "warning": Importance.WARNING,
    "error": Importance.ERROR,
}


@dataclass(slots=True)
class Entry:
    """An event with plain fields; `time` in nanoseconds since the epoch, `weight` in characters."""

    time: int
    level: str
    importance: Importance
    name: str
    fields: dict[str, Any]
    request: RequestIdentity | None
    thread: str = ""
    weight: int = 0
