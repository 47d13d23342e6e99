"""Tests the percentages between two snapshots of recorded values, and their limits."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aliaport_cpu.config import CpuConfig
from aliaport_cpu.plugin import judge
from aliaport_cpu.snapshot import (
    Quota,
    Snapshot,
    Ticks,
    used_percent,
)

from aliaport.plugin import Status
from aliaport.testing import RunningPlugin

LEVEL = Path("/sys/fs/cgroup/app")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
Recorded = Callable[..., AbstractContextManager[RunningPlugin]]


def snapshot(at: float, *, busy: int = 0, total: int = 0, **quota: Any) -> Snapshot:
    """Return the counters of a machine with 4 CPUs that share `busy` and `total` equally.

    `quota` has those of a limited process.
    """
    quotas = {}
    if quota:
        values: dict[str, Any] = {
            "cores": 2.0,
            "used_seconds": 0.0,
            "periods": 0,
            "throttled_periods": 0,
            "throttled_seconds": 0.0,
        }
        quotas[LEVEL] = Quota(**(values | quota))
    cpus = {number: Ticks(busy, total) for number in range(4)}
    return Snapshot(at, cpus, frozenset(cpus), 4, (1.0, 2.0, 3.0), quotas)


def counted(at: float, allowed: set[int] | None = None, **cpus: tuple[int, int]) -> Snapshot:
    """Return the counters of CPUs: `cpu3=(busy, total)`."""
    ticks = {int(name[3:]): Ticks(*values) for name, values in cpus.items()}
    numbers = frozenset(ticks if allowed is None else allowed)
    return Snapshot(at, ticks, numbers, len(numbers), None, {})


class TestUsedPercent:
    def test_without_a_quota_it_is_a_percentage_of_the_cpus(self) -> None:
        assert used_percent(snapshot(0), snapshot(10, busy=100, total=400)) == 25

    def test_under_a_quota_it_is_a_percentage_of_the_quota_not_of_the_machine(self) -> None:
        old, new = snapshot(0, used_seconds=5), snapshot(10, used_seconds=15, busy=90, total=100)
        assert used_percent(old, new) == 50

    def test_the_cpus_decide_if_the_quota_is_larger(self) -> None:
        old, new = snapshot(0, cores=8), snapshot(10, cores=8, used_seconds=40, busy=9, total=10)
        assert used_percent(old, new) == 90

    def test_the_highest_of_nested_quotas_decides(self) -> None:
        old, new = snapshot(0, cores=2), snapshot(10, cores=2, used_seconds=2)
        outer = Quota(1.0, 0.0, 0, 0, 0.0)
        old = replace(old, quotas={**old.quotas, LEVEL.parent: outer})
        new = replace(new, quotas={**new.quotas, LEVEL.parent: replace(outer, used_seconds=9.0)})
        assert used_percent(old, new) == 90
        assert new.limit_cores == 1

    def test_a_quota_with_unreadable_usage_falls_back_to_the_cpus(self) -> None:
        old = snapshot(0, used_seconds=None)
        assert used_percent(old, snapshot(10, used_seconds=None, busy=30, total=100)) == 30

    def test_bursts_and_decreasing_idle_times_stay_between_0_and_100(self) -> None:
        assert used_percent(snapshot(0, cores=1), snapshot(1, cores=1, used_seconds=1.2)) == 100
        assert used_percent(snapshot(0, total=5), snapshot(1, busy=100, total=104)) == 100

    def test_a_cgroup_that_replaced_one_of_the_same_name_is_not_compared_with_it(self) -> None:
        old = snapshot(0, used_seconds=50)
        assert used_percent(old, snapshot(10, used_seconds=1, busy=30, total=100)) == 30

    def test_it_is_none_without_elapsed_time_or_counters(self) -> None:
        assert used_percent(snapshot(5), snapshot(5, busy=1, total=2)) is None
        assert used_percent(snapshot(0), snapshot(5)) is None


class TestChangingCpus:
    """CPUs that come and go: only those in both snapshots count, each by itself."""

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            pytest.param(
                counted(0, cpu0=(100, 1000)),
                counted(10, cpu0=(350, 2000), cpu1=(9000, 9000)),
                id="one was added",
            ),
            pytest.param(
                counted(0, cpu0=(100, 1000), cpu1=(9000, 9000)),
                counted(10, cpu0=(350, 2000)),
                id="one went away",
            ),
            pytest.param(
                counted(0, cpu0=(100, 1000), cpu1=(500, 9000)),
                counted(10, cpu0=(350, 2000), cpu1=(9, 90)),
                id="one came back with small counters",
            ),
            pytest.param(
                counted(0, cpu0=(100, 1000), cpu1=(500, 600)),
                counted(10, cpu0=(350, 2000), cpu1=(499, 1600)),
                id="the busy time of one went back",
            ),
            pytest.param(
                counted(0, cpu0=(100, 1000), cpu1=(500, 600)),
                counted(10, cpu0=(350, 2000), cpu1=(2**64, 2**64)),
                id="one counted more than the time that passed",
            ),
            pytest.param(
                counted(0, {1}, cpu0=(100, 1000), cpu1=(500, 600)),
                counted(10, {0}, cpu0=(350, 2000), cpu1=(1500, 1600)),
                id="the affinity changed",
            ),
            pytest.param(
                counted(0, cpu0=(100, 1000), cpu1=(500, 600)),
                counted(10, {0, 1}, cpu0=(350, 2000)),
                id="the counters of one could not be read",
            ),
        ],
    )
    def test_the_others_are_measured(self, old: Snapshot, new: Snapshot) -> None:
        assert used_percent(old, new) == 25

    def test_each_counts_for_as_long_as_it_was_there(self) -> None:
        old = counted(0, cpu0=(0, 0), cpu1=(0, 0))
        assert used_percent(old, counted(10, cpu0=(0, 1000), cpu1=(250, 250))) == 20

    def test_without_a_common_one_it_is_none(self) -> None:
        assert used_percent(counted(0, cpu0=(0, 0)), counted(10, cpu1=(9, 10))) is None


class TestJudge:
    @pytest.mark.parametrize(
        ("busy", "status", "code"),
        [
            (59, Status.HEALTHY, "ok"),
            (60, Status.DEGRADED, "cpu_high"),
            (80, Status.UNHEALTHY, "cpu_critical"),
        ],
    )
    def test_the_average_decides(self, busy: int, status: Status, code: str) -> None:
        now = snapshot(60, busy=busy, total=100)
        check = judge(snapshot(59), snapshot(0), now, CpuConfig())
        assert (check.status, check.code) == (status, code)
        assert check.data["cpu_percent"] == busy
        assert check.data["load1_per_cpu"] == 0.25

    def test_thresholds_do_not_apply_in_the_first_minute(self) -> None:
        now = snapshot(59, busy=100, total=100)
        check = judge(snapshot(58), snapshot(0), now, CpuConfig())
        assert (check.status, check.code) == (Status.HEALTHY, "measuring")
        assert check.data["cpu_percent"] == 100

    def test_throttling_is_reported(self) -> None:
        old = snapshot(0, cores=1, periods=100)
        new = snapshot(60, cores=1, used_seconds=20, periods=200, throttled_periods=25)
        check = judge(old, old, new, CpuConfig())
        assert (check.status, check.code) == (Status.DEGRADED, "throttled")

    def test_unreadable_counters_are_reported(self) -> None:
        check = judge(snapshot(0), snapshot(0), snapshot(60), CpuConfig())
        assert (check.status, check.code) == (Status.DEGRADED, "unreadable")
        assert check.data["cpu_percent"] is None
