"""Readings of the memory usage of the machine and of each cgroup that limits the process.

Sources: the kernel's admin-guide/cgroup-v2 and cgroup-v1/memory pages, proc_meminfo(5).
"""

from dataclasses import dataclass
from pathlib import Path

import psutil

from aliaport.cgroup import Cgroup, own_cgroup, read_number, read_table


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that applies to the process and how much of it is used, in bytes."""

    size: int
    used: int


@dataclass(frozen=True, slots=True)
class Reading:
    """The limits at one moment, the machine's first; swap in bytes.

    `oom_kills` counts the kernel's OOM kills since boot on the machine or, if a cgroup limits the
    process, in that cgroup; `oom_source` is the file with that counter.
    """

    limits: tuple[Limit, ...]
    swap_used: int | None
    oom_kills: int | None
    oom_source: Path

    @property
    def percent(self) -> float:
        """The usage of the limit that is closest to being reached."""
        return max(100 * limit.used / limit.size for limit in self.limits)

    @property
    def available(self) -> int:
        """The memory that the process can still use before it reaches a limit, in bytes."""
        return min(limit.size - limit.used for limit in self.limits)

    @property
    def limit(self) -> int:
        """The tightest limit, in bytes."""
        return min(limit.size for limit in self.limits)


def read(root: Path = Path("/")) -> Reading | None:
    """Return the current values, or None if not even the machine's can be read."""
    try:
        machine, swap = psutil.virtual_memory(), psutil.swap_memory()
    except OSError:
        return None
    host = Limit(machine.total, machine.total - machine.available)
    cgroup = own_cgroup("memory", root)
    limits = _limits(cgroup, host.size) if cgroup else []
    if cgroup is None or not limits:
        source = root / "proc/vmstat"
        return Reading((host,), swap.used, read_table(source).get("oom_kill"), source)
    own = cgroup.levels[0]
    if cgroup.version == 2:
        swap_used, source = read_number(own / "memory.swap.current"), own / "memory.events"
    else:
        swap_used = read_table(own / "memory.stat").get("total_swap")
        source = own / "memory.oom_control"
    return Reading((host, *limits), swap_used, read_table(source).get("oom_kill"), source)


def _limits(cgroup: Cgroup, machine: int) -> list[Limit]:
    limits = []
    for level in cgroup.levels:
        if cgroup.version == 2:
            size, used = read_number(level / "memory.max"), read_number(level / "memory.current")
            file_key = "inactive_file"
        else:
            size = read_number(level / "memory.limit_in_bytes")
            used = read_number(level / "memory.usage_in_bytes")
            file_key = "total_inactive_file"
        # Version 1 expresses "no limit" as a huge number that depends on the page size.
        if size is None or used is None or not 0 < size < machine:
            continue
        # The kernel reclaims file pages not used recently before it kills anything. Counting them
        # would show every cgroup that reads files as full. The kubelet's working set excludes them.
        idle = read_table(level / "memory.stat").get(file_key, 0)
        limits.append(Limit(size, min(size, max(0, used - idle))))
    return limits
