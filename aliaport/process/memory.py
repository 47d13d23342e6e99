"""Memory of the process: what it keeps, and what it gives back to the system."""

import ctypes
import gc
from contextlib import suppress

MAX_ARENAS = 2
"""Heaps of the C library, which has eight for each processor by default, each with its own gaps.

Each also reserves 64 MB of address space, most of which is never used.
"""

LARGE_BLOCK = 131_072
"""Bytes from which a block is given back as soon as it is freed.

glibc's default at the start; but after the first such block, it would keep ever larger ones.
"""

KEPT_AT_END = 1_048_576
"""Bytes kept free at the end of the heap, so that it does not grow and shrink all the time."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


def limit_gaps() -> None:
    """Keep the C library from holding on to freed memory; call it before other threads start.

    Only glibc needs it and knows how.
    """
    library = ctypes.CDLL(None)
    with suppress(AttributeError):
        library.mallopt(_M_ARENA_MAX, MAX_ARENAS)
        library.mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK)
        library.mallopt(_M_TRIM_THRESHOLD, KEPT_AT_END)


def keep_what_is_loaded() -> None:
    """Let the garbage collector leave alone what exists now; call it once everything has started.

    Modules, classes and settings live as long as the process. To look at them all again takes
    longer than many requests, at a time when these wait.
    """
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """Return the gaps in the heap; takes milliseconds, and longer if it is large."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
