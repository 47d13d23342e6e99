"""The process's file descriptors: raises their limit, and counts those that are open."""

import os
import resource


def raise_limit() -> int:
    """Raise the soft limit of open files to the hard one; return the limit that now applies.

    Service managers keep the soft limit at 1024 for programs that use `select`; this one does not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):  # fs.nr_open has since been set below the hard limit
            return soft
    return hard


def count_open() -> int:
    """Return how many descriptors the process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208
