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


def soft_limit() -> int | None:
    """Return how many descriptors the process may have open; None if there is no limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def count_open() -> int:
    """Return how many descriptors the process has open. Raises OSError without /proc."""
    # Since Linux 6.2, the size of the folder is their number: no need to list thousands.
    return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd"))  # noqa: PTH116, PTH208
