"""Readings of the memory usage of the machine and of each cgroup that limits the process.

Sources: the kernel's admin-guide/cgroup-v2, cgroup-v1/memory and accounting/psi pages,
proc_meminfo(5).
"""

from dataclasses import dataclass
from pathlib import Path

import psutil

from aliaport.cgroup import Cgroup, own_cgroup, read_lines, read_number, read_table


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that applies to the process and how much of it is used, in bytes.

    `used` leaves out what the kernel gives back before it kills anything. `working_set` is the
    usage as the kubelet computes it, which leaves out only the file cache not used recently; None
    if it cannot be read.
    """

    size: int
    used: int
    working_set: int | None = None


@dataclass(frozen=True, slots=True)
class Pressure:
    """How much tasks waited for memory, in total and in percent of the last minute.

    `waiting` is the time in which at least one task waited, `stalled` that in which all did.
    """

    waiting_percent: float
    waiting_seconds: float
    stalled_percent: float
    stalled_seconds: float


@dataclass(frozen=True, slots=True)
class Reading:
    """The limits at one moment, the machine's first; swap in bytes.

    `oom_kills` counts the kernel's OOM kills since boot on the machine or, if a cgroup limits the
    process, in that cgroup; `oom_source` is the file with that counter. `pressure` is that of the
    process's cgroup in version 2, otherwise the machine's; None if the kernel does not measure it.
    """

    limits: tuple[Limit, ...]
    swap_used: int | None
    oom_kills: int | None
    oom_source: Path
    pressure: Pressure | None = None

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

    @property
    def working_set(self) -> int | None:
        """The kubelet's working set of the innermost cgroup with a limit, or of the machine."""
        _machine, *cgroups = self.limits
        return (cgroups or self.limits)[0].working_set


def read(root: Path = Path("/")) -> Reading | None:
    """Return the current values, or None if not even the machine's can be read."""
    try:
        machine, swap = psutil.virtual_memory(), psutil.swap_memory()
    except OSError:
        return None
    inactive = _inactive_file(root)
    host = Limit(
        machine.total,
        machine.total - machine.available,
        None if inactive is None else max(0, machine.total - machine.free - inactive),
    )
    cgroup = own_cgroup("memory", root)
    pressure = _pressure(cgroup, root)
    limits = _limits(cgroup, host.size) if cgroup else []
    if cgroup is None or not limits:
        source = root / "proc/vmstat"
        kills = read_table(source).get("oom_kill")
        return Reading((host,), swap.used, kills, source, pressure)
    own = cgroup.levels[0]
    if cgroup.version == 2:
        swap_used, source = read_number(own / "memory.swap.current"), own / "memory.events"
    else:
        swap_used = read_table(own / "memory.stat").get("total_swap")
        source = own / "memory.oom_control"
    kills = read_table(source).get("oom_kill")
    return Reading((host, *limits), swap_used, kills, source, pressure)


def _limits(cgroup: Cgroup, machine: int) -> list[Limit]:
    limits = []
    for level in cgroup.levels:
        stat = read_table(level / "memory.stat")
        if cgroup.version == 2:
            size, used = read_number(level / "memory.max"), read_number(level / "memory.current")
            prefix = ""
        else:
            size = read_number(level / "memory.limit_in_bytes")
            used = read_number(level / "memory.usage_in_bytes")
            prefix = "total_"
        # Version 1 expresses "no limit" as a huge number that depends on the page size.
        if size is None or used is None or not 0 < size < machine:
            continue
        # The kernel gives back all of these before it kills anything, as MemAvailable counts them
        # for the machine. Counting them would show every cgroup that reads files as full.
        inactive, active, slab = (
            stat.get(prefix + key, 0)
            for key in ("inactive_file", "active_file", "slab_reclaimable")
        )
        limits.append(
            Limit(
                size,
                min(size, max(0, used - inactive - active - slab)),
                max(0, used - inactive),
            )
        )
    return limits


def _inactive_file(root: Path) -> int | None:
    """Return the machine's file cache not used recently, in bytes."""
    for line in read_lines(root / "proc/meminfo"):
        key, _, value = line.partition(":")
        if key == "Inactive(file)":
            return int(value.split()[0]) * 1024
    return None


def _pressure(cgroup: Cgroup | None, root: Path) -> Pressure | None:
    found = None
    if cgroup is not None and cgroup.version == 2:
        found = _pressure_of(cgroup.levels[0] / "memory.pressure")
    return found or _pressure_of(root / "proc/pressure/memory")


def _pressure_of(file: Path) -> Pressure | None:
    shares: dict[str, tuple[float, float]] = {}
    for line in read_lines(file):
        kind, *words = line.split(" ")
        values = dict(word.partition("=")[::2] for word in words)
        try:
            shares[kind] = float(values["avg60"]), int(values["total"]) / 1e6
        except (KeyError, ValueError):
            return None
    if not {"some", "full"} <= shares.keys():
        return None
    return Pressure(*shares["some"], *shares["full"])
