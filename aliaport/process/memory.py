"""Gives memory that is no longer used back to the system, which may kill what holds too much."""

import ctypes
import math
import resource
from contextlib import suppress
from pathlib import Path

MAX_ARENAS = 2
"""Heaps of the C library, which has eight for each processor by default, each with its own gaps."""

LARGE_BLOCK = 131_072
"""Bytes from which a block is given back as soon as it is freed.

glibc's default at the start; but after the first such block, it would keep ever larger ones.
"""

KEPT_AT_END = 1_048_576
"""Bytes kept free at the end of the heap, so that it does not grow and shrink all the time."""

NOTEWORTHY = 16 * 2**20
"""Bytes above the least memory seen, from which it is worth looking for gaps."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_RESIDENT = Path("/proc/self/statm")
_PAGE = resource.getpagesize()


class Heap:
    """The C library's heap. Create it before other threads start; only glibc has what it needs."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self._least = math.inf
        with suppress(AttributeError):
            self._library.mallopt(_M_ARENA_MAX, MAX_ARENAS)
            self._library.mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK)
            self._library.mallopt(_M_TRIM_THRESHOLD, KEPT_AT_END)

    def give_back(self) -> None:
        """Return the gaps in the heap, if the process has grown since the first call.

        Takes a few milliseconds then, and microseconds otherwise.
        """
        now = _resident()
        self._least = min(self._least, now)
        if now - self._least >= NOTEWORTHY:
            with suppress(AttributeError):
                self._library.malloc_trim(0)


def _resident() -> int:
    return int(_RESIDENT.read_text().split()[1]) * _PAGE
