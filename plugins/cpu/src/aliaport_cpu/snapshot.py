"""Snapshots of the kernel's CPU counters, and the CPU usage between two of them.

Sources: proc_stat(5), sched(7), the kernel's admin-guide/cgroup-v2 and scheduler/sched-bwc pages.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aliaport.cgroup import Cgroup, own_cgroup, read_lines, read_number, read_table, read_text

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

MAX_RATE = 2
"""Times the elapsed time that a CPU may have counted; more is a counter that jumped."""


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
class Ticks:
    """Time that one CPU has counted since it started, in ticks of the kernel."""

    busy: int
    total: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All counters at `at` (monotonic seconds).

    `cpus` has the CPUs that are online, by the number that /proc/stat gives them. `allowed` has the
    numbers of those on which the process may run, and `allowed_cpus` is how many it may use
    (affinity and cpuset).
    """

    at: float
    cpus: Mapping[int, Ticks]
    allowed: frozenset[int]
    allowed_cpus: int
    load: tuple[float, float, float] | None
    quotas: Mapping[Path, Quota]

    @property
    def limit_cores(self) -> float:
        """The number of CPUs that the process may use, by quotas, affinity and cpuset."""
        return min([self.allowed_cpus, *(quota.cores for quota in self.quotas.values())])


def take(at: float, root: Path = Path("/")) -> Snapshot:
    """Read all counters; those that cannot be read are left out."""
    usable = os.sched_getaffinity(0)
    cpus = {}
    for line in read_lines(root / "proc/stat"):
        name, *values = line.split()
        number = name.removeprefix("cpu")
        if number == name or not number.isdecimal():
            continue
        # These eight kinds add up to all time; user time already includes guest time.
        ticks = [int(value) for value in values[:8] if value.isdecimal()]
        total = sum(ticks)
        cpus[int(number)] = Ticks(total - sum(ticks[3:5]), total)  # without idle and iowait
    allowed = _allowed(usable, cpus)
    return Snapshot(at, cpus, allowed, min(len(allowed), len(usable)), _load(root), _quotas(root))


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
            if used >= 0:  # else another group of that name has replaced it
                shares.append(used / (seconds * quota.cores))
    share = _share_of_cpus(old, new)
    if share is not None and (not shares or new.limit_cores >= new.allowed_cpus):
        shares.append(share)
    # A burst may exceed its quota.
    return min(100.0, 100 * max(shares)) if shares else None


def _share_of_cpus(old: Snapshot, new: Snapshot) -> float | None:
    """Return the usage of the CPUs allowed now that both snapshots have and that counted rightly.

    A CPU may have been added in between, or have come back with other counters.
    """
    most = MAX_RATE * TICKS_PER_SECOND * (new.at - old.at) + TICKS_PER_SECOND
    busy = total = 0
    for number in new.allowed & old.cpus.keys() & new.cpus.keys():
        before, now = old.cpus[number], new.cpus[number]
        worked, passed = now.busy - before.busy, now.total - before.total
        if worked >= 0 and 0 < passed <= most:
            # Idle time may decrease slightly.
            busy += min(worked, passed)
            total += passed
    return busy / total if total else None


def throttled_percent(old: Snapshot, new: Snapshot) -> float:
    """Return the percentage of scheduling periods between two snapshots that were throttled."""
    shares = [0.0]
    for level, quota in new.quotas.items():
        before = old.quotas.get(level)
        if before and quota.periods > before.periods:
            throttled = quota.throttled_periods - before.throttled_periods
            periods = quota.periods - before.periods
            if 0 <= throttled <= periods:
                shares.append(100 * throttled / periods)
    return max(shares)


def _allowed(usable: set[int], cpus: Mapping[int, Ticks]) -> frozenset[int]:
    """Return the CPUs of /proc/stat on which the process may run.

    If it cannot be read, they are those of the affinity.
    """
    listed = frozenset(cpus)
    if not listed or usable <= listed:
        return frozenset(usable)
    # LXCFS and sandboxes list only the container's CPUs and number them from 0, but affinity has
    # the machine's numbers.
    if len(listed) == len(usable) or not usable & listed:
        return listed
    return frozenset(usable & listed)  # one went offline in between


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
