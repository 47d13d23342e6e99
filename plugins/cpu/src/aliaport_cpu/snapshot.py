"""Snapshots of the kernel's CPU counters, and the CPU usage between two of them.

Sources: proc_stat(5), sched(7), the kernel's admin-guide/cgroup-v2 and scheduler/sched-bwc pages.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aliaport.cgroup import Cgroup, own_cgroup, read_lines, read_number, read_table, read_text


@dataclass(frozen=True, slots=True)
class Quota:
    """The CPU limit of one cgroup of the process; `used_seconds` is the CPU time used so far.

    `periods` counts scheduling periods, `throttled_periods` those in which the limit was reached,
    and `throttled_seconds` the time that threads waited because of it.
    """

    cores: float
    used_seconds: float | None
    periods: int
    throttled_periods: int
    throttled_seconds: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All counters at `at` (monotonic seconds); `busy` and `total` in ticks of the allowed CPUs.

    `machine_cpus` is the number of CPUs online, `allowed_cpus` the number on which the process may
    run (affinity and cpuset).
    """

    at: float
    machine_cpus: int
    allowed_cpus: int
    busy: int
    total: int
    load: tuple[float, float, float] | None
    quotas: Mapping[Path, Quota]

    @property
    def limit_cores(self) -> float:
        """The number of CPUs that the process may use, by quotas, affinity and cpuset."""
        return min([self.allowed_cpus, *(quota.cores for quota in self.quotas.values())])


def take(at: float, root: Path = Path("/")) -> Snapshot:
    """Read all counters; those that cannot be read are 0 or left out."""
    allowed = os.sched_getaffinity(0)
    busy = total = machine = seen = 0
    for line in read_lines(root / "proc/stat"):
        name, *values = line.split()
        number = name.removeprefix("cpu")
        if number == name or not number.isdecimal():
            continue
        machine += 1
        if int(number) in allowed:
            # These eight kinds add up to all time; user time already includes guest time.
            ticks = [int(value) for value in values[:8] if value.isdecimal()]
            seen += 1
            total += sum(ticks)
            busy += sum(ticks) - sum(ticks[3:5])  # without idle and iowait
    quotas = _quotas(root)
    return Snapshot(at, machine, seen or len(allowed), busy, total, _load(root), quotas)


def used_percent(old: Snapshot, new: Snapshot) -> float | None:
    """Return the usage between two snapshots as a percentage of the tightest limit.

    This is the highest usage of any cgroup with a quota and, if the quota allows at least as many
    CPUs as the process may run on, of those CPUs. Return None if it cannot be computed.
    """
    seconds = new.at - old.at
    if seconds <= 0:
        return None
    shares = []
    for level, quota in new.quotas.items():
        before = old.quotas.get(level)
        if before and before.used_seconds is not None and quota.used_seconds is not None:
            used = quota.used_seconds - before.used_seconds
            shares.append(used / (seconds * quota.cores))
    if new.total > old.total and (not shares or new.limit_cores >= new.allowed_cpus):
        shares.append((new.busy - old.busy) / (new.total - old.total))
    # Idle counters may decrease slightly, and a burst may exceed its quota.
    return min(100.0, max(0.0, 100 * max(shares))) if shares else None


def throttled_percent(old: Snapshot, new: Snapshot) -> float:
    """Return the percentage of scheduling periods between two snapshots that were throttled."""
    shares = [0.0]
    for level, quota in new.quotas.items():
        before = old.quotas.get(level)
        if before and quota.periods > before.periods:
            throttled = quota.throttled_periods - before.throttled_periods
            shares.append(100 * throttled / (quota.periods - before.periods))
    return max(shares)


def _quotas(root: Path) -> dict[Path, Quota]:
    cgroup = own_cgroup("cpu", root)
    if cgroup is None:
        return {}
    accounting = own_cgroup("cpuacct", root) if cgroup.version == 1 else None
    quotas = {}
    for level in cgroup.levels:
        cores = _cores(level, cgroup.version)
        if cores is None:
            continue
        stat = read_table(level / "cpu.stat")
        if cgroup.version == 2:
            used, throttled = (
                _scaled(stat.get("usage_usec"), 1e6),
                stat.get("throttled_usec", 0) / 1e6,
            )
        else:
            used = _version_1_usage(cgroup, level, accounting)
            throttled = stat.get("throttled_time", 0) / 1e9
        quotas[level] = Quota(
            cores, used, stat.get("nr_periods", 0), stat.get("nr_throttled", 0), throttled
        )
    return quotas


def _cores(level: Path, version: int) -> float | None:
    if version == 2:
        quota, _, period = read_text(level / "cpu.max").partition(" ")
    else:
        quota = read_text(level / "cpu.cfs_quota_us")
        period = read_text(level / "cpu.cfs_period_us")
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None  # "max", or a missing file, as in the root cgroup
    return cores if cores > 0 else None  # version 1 uses -1 for no limit


def _version_1_usage(cgroup: Cgroup, level: Path, accounting: Cgroup | None) -> float | None:
    if accounting is None:
        return None
    # Usually the same hierarchy; otherwise the group of the same name.
    same = accounting.mount / level.relative_to(cgroup.mount)
    return _scaled(read_number(same / "cpuacct.usage"), 1e9)


def _scaled(value: int | None, unit: float) -> float | None:
    return None if value is None else value / unit


def _load(root: Path) -> tuple[float, float, float] | None:
    try:
        one, five, fifteen = map(float, read_text(root / "proc/loadavg").split()[:3])
    except ValueError:
        return None
    return one, five, fifteen
