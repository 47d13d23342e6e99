"""Tests the cpu plugin on recorded kernel files, on this machine and in a real cgroup."""

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from aliaport_cpu.config import CpuConfig
from aliaport_cpu.plugin import FAMILIES, CpuPlugin
from aliaport_cpu.snapshot import (
    TICKS_PER_SECOND,
    take,
    throttled_percent,
    used_percent,
)
from pydantic import ValidationError

from aliaport.testing import FakeClock, RunningPlugin, run_plugin
from tests.support.scenarios import play

LEVEL = Path("/sys/fs/cgroup/app")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
Recorded = Callable[..., AbstractContextManager[RunningPlugin]]


class Machine:
    """A recorded file tree with enough CPUs for the affinity of this process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cpus = max(os.sched_getaffinity(0)) + 1
        self.write("proc/loadavg", "0.50 1.25 2.00 1/88 4575\n")
        self.ticks(busy=0, idle=0)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def ticks(self, busy: int, idle: int) -> None:
        """Set the busy ticks of every CPU (half of them guest time, part of user) and the idle ones."""
        rows = [
            f"cpu{number} {busy} 0 0 {idle} 0 0 0 0 {busy // 2} 0" for number in range(self.cpus)
        ]
        self.write("proc/stat", "cpu  1 2 3 4 5 6 7 8 9 10\n" + "\n".join(rows) + "\nintr 1 2\n")

    def version_2(self, path: str, mount: str = "/") -> None:
        self.write("proc/self/cgroup", f"0::{path}\n")
        self.write(
            "proc/self/mountinfo", f"29 23 0:26 {mount} /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
        )

    def version_1(self, path: str, together: bool = True) -> None:
        self.write("proc/self/cgroup", f"4:cpu:{path}\n3:cpuacct:{path}\n1:name=systemd:/\n0::/\n")
        points = ("cpu,cpuacct", "cpu,cpuacct") if together else ("cpu", "cpuacct")
        self.write(
            "proc/self/mountinfo",
            "".join(
                f"3{number} 31 0:29 / /sys/fs/cgroup/{point} rw - cgroup cgroup rw,{options}\n"
                for number, (point, options) in enumerate(
                    zip(points, ("cpu,cpuacct",) * 2 if together else points, strict=True)
                )
            ),
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


class TestConfig:
    def test_default_thresholds(self) -> None:
        config = CpuConfig()
        assert (config.warn_percent, config.critical_percent) == (60, 80)

    @pytest.mark.parametrize(
        ("options", "hint"),
        [
            ({"warn_percent": 81}, "must not be above critical_percent"),
            ({"average_seconds": 0}, "greater than or equal to 1"),
            ({"interval": 1}, "Extra inputs"),
        ],
    )
    def test_invalid_options_are_rejected(self, options: dict[str, Any], hint: str) -> None:
        with pytest.raises(ValidationError, match=hint):
            CpuConfig.model_validate(options)


class TestTake:
    def test_the_machine_without_cgroups(self, machine: Machine) -> None:
        old = take(0, machine.root)
        machine.ticks(busy=30, idle=70)
        new = take(1, machine.root)
        assert used_percent(old, new) == 30, "guest time counts once"
        assert (len(new.cpus), new.load) == (machine.cpus, (0.5, 1.25, 2.0))
        assert new.limit_cores == len(os.sched_getaffinity(0))

    def test_version_2_with_a_quota_on_an_ancestor(self, machine: Machine) -> None:
        machine.version_2("/kubepods/pod/app")
        pod, app = "sys/fs/cgroup/kubepods/pod", "sys/fs/cgroup/kubepods/pod/app"
        machine.write(f"{app}/cpu.max", "max 100000\n")
        machine.write(f"{pod}/cpu.max", "50000 100000\n")
        stat = "usage_usec {}\nuser_usec 1\nnr_periods {}\nnr_throttled {}\nthrottled_usec {}\n"
        machine.write(f"{pod}/cpu.stat", stat.format(1_000_000, 10, 0, 0))
        old = take(0, machine.root)
        machine.write(f"{pod}/cpu.stat", stat.format(5_000_000, 110, 40, 2_500_000))
        new = take(10, machine.root)
        assert new.limit_cores == 0.5
        assert used_percent(old, new) == pytest.approx(80)
        assert throttled_percent(old, new) == 40
        assert [quota.throttled_seconds for quota in new.quotas.values()] == [2.5]

    @pytest.mark.parametrize("together", [True, False])
    def test_version_1_of_a_hybrid_machine(self, machine: Machine, together: bool) -> None:
        machine.version_1("/app", together)
        cpu = "sys/fs/cgroup/" + ("cpu,cpuacct" if together else "cpu") + "/app"
        accounting = "sys/fs/cgroup/" + ("cpu,cpuacct" if together else "cpuacct") + "/app"
        machine.write(f"{cpu}/cpu.cfs_quota_us", "25000\n")
        machine.write(f"{cpu}/cpu.cfs_period_us", "50000\n")
        machine.write(f"{cpu}/cpu.stat", "nr_periods 4\nnr_throttled 1\nthrottled_time 500000000\n")
        machine.write(f"{accounting}/cpuacct.usage", "0\n")
        old = take(0, machine.root)
        machine.write(f"{accounting}/cpuacct.usage", "3000000000\n")
        new = take(10, machine.root)
        assert new.limit_cores == 0.5
        assert used_percent(old, new) == pytest.approx(60)
        assert [quota.throttled_seconds for quota in new.quotas.values()] == [0.5]

    def test_there_is_no_quota_without_a_limit_in_either_version(self, machine: Machine) -> None:
        machine.version_2("/")
        assert not take(0, machine.root).quotas, "the root cgroup has no cpu.max"
        machine.write("sys/fs/cgroup/cpu.max", "max 100000\n")
        assert not take(0, machine.root).quotas
        machine.version_1("/")
        machine.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
        machine.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n")
        assert not take(0, machine.root).quotas

    def test_an_empty_machine_raises_nothing(self, tmp_path: Path) -> None:
        found = take(0, tmp_path)
        assert (found.cpus, found.load, found.quotas) == ({}, None, {})
        assert found.limit_cores == len(os.sched_getaffinity(0))

    def test_affinity_and_cpusets_reduce_the_cpus(self, machine: Machine) -> None:
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(allowed)})
        try:
            assert take(0).limit_cores == 1
            assert len(take(0, machine.root).cpus) == machine.cpus
        finally:
            os.sched_setaffinity(0, allowed)

    @pytest.mark.parametrize("listed", [1, 3])
    def test_a_container_that_numbers_its_own_cpus_is_measured(
        self, machine: Machine, listed: int
    ) -> None:
        """LXCFS does so: the process may run on the machine's last CPU, and sees CPUs from 0."""
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(allowed)})
        machine.cpus = listed if listed <= max(allowed) else 1
        try:
            machine.ticks(busy=0, idle=0)
            old = take(0, machine.root)
            machine.ticks(busy=30, idle=70)
            new = take(1, machine.root)
        finally:
            os.sched_setaffinity(0, allowed)
        assert (used_percent(old, new), new.limit_cores) == (30, 1)


@pytest.fixture
def recorded(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """Return `recorded(clock, option=…)`, which runs the plugin on the recorded machine."""
    monkeypatch.setattr("aliaport_cpu.plugin.FIRST_WINDOW", 0)

    class RecordedPlugin(CpuPlugin):
        _root: ClassVar[Path] = machine.root

    return lambda clock, **options: run_plugin(RecordedPlugin, options, clock=clock, jobs=False)


class TestPlugin:
    def test_it_reports_values_of_this_machine_at_once(self) -> None:
        with run_plugin(CpuPlugin, {}) as plugin:
            result = plugin.probe("cpu")
            samples = {sample.metric: sample.value for sample in plugin.collect()}
        assert (str(result.status), result.code) == ("healthy", "measuring")
        assert isinstance(result.data["cpu_percent"], float)
        assert 0 <= result.data["cpu_percent"] <= 100
        assert set(samples) == {family.name for family in FAMILIES}
        assert 0 < samples["aliaport_cpu_limit_cores"] <= (os.cpu_count() or 1)

    def test_many_calls_do_not_shorten_each_others_window(
        self, machine: Machine, recorded: Recorded
    ) -> None:
        """Counters that change once, after the start, must stay visible to each of many calls."""
        clock = FakeClock(NOW)
        with recorded(clock) as plugin:
            machine.ticks(busy=50, idle=50)
            values = []
            for _ in range(10):
                clock.advance(0.09)
                values.append(plugin.probe("cpu").data["cpu_percent"])
        assert values == [50.0] * 10

    def test_the_window_moves(self, machine: Machine, recorded: Recorded) -> None:
        clock = FakeClock(NOW)
        with recorded(clock, average_seconds=2) as plugin:
            machine.ticks(busy=100, idle=0)
            clock.advance(1)
            result = plugin.probe("cpu")
            assert (result.code, result.data["cpu_percent"]) == ("measuring", 100)
            machine.ticks(busy=100, idle=100)
            clock.advance(1)
            result = plugin.probe("cpu")
            assert result.data["cpu_percent"] == 0, "the burst is outside the window"
            assert result.code == "ok", "thresholds apply after the averaging time"
            assert result.data["cpu_average_percent"] == 50

    def test_counters_that_step_back_start_a_new_window(
        self, machine: Machine, recorded: Recorded
    ) -> None:
        clock = FakeClock(NOW)
        machine.ticks(busy=5000, idle=5000)
        with recorded(clock, average_seconds=2) as plugin:
            clock.advance(1)
            machine.ticks(busy=10, idle=10)
            result = plugin.probe("cpu")
            assert (result.code, result.data["cpu_percent"]) == ("unreadable", None)
            for idle in (10 + TICKS_PER_SECOND, 10 + 2 * TICKS_PER_SECOND):
                clock.advance(1)
                machine.ticks(busy=10, idle=idle)
                result = plugin.probe("cpu")
                assert result.data["cpu_percent"] == 0
                assert result.data["cpu_average_percent"] == 0
            assert result.code == "ok"

    def test_a_machine_without_counters_is_degraded_and_exports_what_it_can(
        self, machine: Machine, recorded: Recorded
    ) -> None:
        shutil.rmtree(machine.root / "proc")
        with recorded(FakeClock(NOW)) as plugin:
            assert plugin.probe("cpu").code == "unreadable"
            names = {sample.metric for sample in plugin.collect()}
        assert "aliaport_cpu_limit_cores" in names
        assert "aliaport_cpu_percent" not in names


@pytest.fixture(scope="module")
def under_quota(cannot_run: Any) -> dict[str, Any]:
    story = play("plugins.cpu.tests.support.scenarios", "quota")
    if "impossible" in story:
        cannot_run("under_quota", f"cgroups cannot be created here: {story['impossible']}")
    return story


@pytest.mark.service
@pytest.mark.needs("root")
def test_usage_is_relative_to_the_quota_of_a_real_cgroup(under_quota: dict[str, Any]) -> None:
    assert (under_quota["status"], under_quota["code"]) == ("unhealthy", "cpu_critical")
    data, samples = under_quota["data"], under_quota["samples"]
    assert data["limit_cores"] == samples["aliaport_cpu_limit_cores"] == 0.4
    assert data["cpu_percent"] > 80
    assert data["throttled_percent"] > 25
    assert samples["aliaport_cpu_throttled_seconds_total"] > 0


@pytest.mark.service
def test_the_usage_follows_the_affinity_of_the_real_process(cannot_run: Any) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        cannot_run("affinity", "this machine has one CPU")
    story = play("plugins.cpu.tests.support.scenarios", "affinity")
    assert story["limit_cores"] == [1, 1]
    assert story["after"]["cpu_percent"] > 90, "the values of the CPU that it may use now"
