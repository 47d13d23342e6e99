"""Memory, CPU time and threads of this process, as the kernel counts them: proc_pid_stat(5)."""

import functools
import os
import time
from dataclasses import dataclass
from pathlib import Path

from aliaport.cgroup import read_text
from aliaport.process.descriptors import count_open, soft_limit

_STAT = Path("/proc/self/stat")
_FIRST_AFTER_NAME = 3
"""Number of the first field behind the program's name, which may contain anything."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The use at one moment; what cannot be read is None.

    `started` is in seconds since the epoch and does not change while the process runs.
    """

    cpu_seconds: float
    resident_bytes: int | None
    threads: int | None
    started: float | None
    open_descriptors: int | None
    max_descriptors: int | None


def read_usage() -> Usage:
    """Return the current values."""
    fields = _fields()
    try:
        descriptors = count_open()
    except OSError:  # no /proc, or no descriptor left to read it
        descriptors = None
    return Usage(
        cpu_seconds=time.process_time(),
        resident_bytes=None if fields is None else fields[24] * os.sysconf("SC_PAGE_SIZE"),
        threads=None if fields is None else fields[20],
        started=_started(),
        open_descriptors=descriptors,
        max_descriptors=soft_limit(),
    )


def _fields() -> dict[int, int] | None:
    """Return the numeric fields of /proc/self/stat by their number in the manual."""
    words = read_text(_STAT).rpartition(")")[2].split()
    fields = {
        number: int(word)
        for number, word in enumerate(words, _FIRST_AFTER_NAME)
        if word.lstrip("-").isdecimal()
    }
    return fields if fields.keys() >= {20, 22, 24} else None


@functools.cache
def _started() -> float | None:
    """Return the time at which the process started.

    Read once, so that a clock that is set later does not look like a restart.
    """
    fields = _fields()
    if fields is None:
        return None
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - fields[22] / os.sysconf("SC_CLK_TCK")
    return time.time() - age
