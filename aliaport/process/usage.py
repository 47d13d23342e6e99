"""Memory, CPU time and threads of this process, as the kernel counts them: proc_pid_stat(5)."""

import functools
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from aliaport.cgroup import read_text
from aliaport.process.descriptors import count_open, soft_limit

_STAT = Path("/proc/self/stat")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
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


class _Stat(NamedTuple):
    """The fields of /proc/self/stat that are used; `started` counts clock ticks since the boot."""

    threads: int
    started: int
    resident_pages: int


def read_usage() -> Usage:
    """Return the current values."""
    stat = _stat()
    try:
        descriptors = count_open()
    except OSError:  # no /proc, or no descriptor left to read it
        descriptors = None
    return Usage(
        cpu_seconds=time.process_time(),
        resident_bytes=None if stat is None else stat.resident_pages * _PAGE_BYTES,
        threads=None if stat is None else stat.threads,
        started=_started(),
        open_descriptors=descriptors,
        max_descriptors=soft_limit(),
    )


def _stat() -> _Stat | None:
    words = read_text(_STAT).rpartition(")")[2].split()
    try:
        return _Stat(*(int(words[number - _FIRST_AFTER_NAME]) for number in (20, 22, 24)))
    except (IndexError, ValueError):
        return None


@functools.cache
def _started() -> float | None:
    """Return the time at which the process started.

    Read once, so that a clock that is set later does not look like a restart.
    """
    stat = _stat()
    if stat is None:
        return None
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - stat.started / os.sysconf("SC_CLK_TCK")
    return time.time() - age
