"""Tests the memory plugin on recorded kernel files, on this machine and in a real cgroup."""

import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest
from aliaport_memory.config import MemoryConfig
from aliaport_memory.plugin import FAMILIES, MemoryPlugin, judge
from aliaport_memory.reading import Limit, Pressure, Reading, read
from pydantic import ValidationError

from aliaport.plugin import Status
from aliaport.testing import FakeClock, run_plugin
from tests.support.scenarios import play

MIB = 2**20
UNLIMITED = 9223372036854771712


class Machine:
    """A recorded file tree of a machine with 1000 MiB, of which 600 are available."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.host(available=600)
        self.kills(7)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def kills(self, count: int) -> None:
        self.write("proc/vmstat", f"pswpin 0\npswpout 0\noom_kill {count}\n")

    def host(self, available: int) -> None:
        rows = {"MemTotal": 1000, "MemFree": 1, "MemAvailable": available, "Buffers": 0}
        rows |= {"Cached": 0, "Active": 0, "Inactive": 0, "Shmem": 0}
        rows |= {"SwapTotal": 100, "SwapFree": 70}
        self.write(
            "proc/meminfo", "".join(f"{key}: {value * 1024} kB\n" for key, value in rows.items())
        )

    def version_2(self, path: str) -> None:
        self.write("proc/self/cgroup", f"0::{path}\n")
        self.write("proc/self/mountinfo", "29 23 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n")

    def pressure(self, file: str, some: float, full: float) -> None:
        self.write(
            file,
            f"some avg10=0.00 avg60={some} avg300=0.00 total=2500000\n"
            f"full avg10=0.00 avg60={full} avg300=0.00 total=1500000\n",
        )

    def group_2(self, path: str, limit: str, used: int, idle: int = 0, kills: int = 0) -> None:
        folder = f"sys/fs/cgroup{path}"
        self.write(f"{folder}/memory.max", f"{limit}\n")
        self.write(f"{folder}/memory.current", f"{used * MIB}\n")
        self.write(f"{folder}/memory.stat", f"anon 1\ninactive_file {idle * MIB}\n")
        self.write(f"{folder}/memory.events", f"low 0\noom 9\noom_kill {kills}\n")
        self.write(f"{folder}/memory.swap.current", f"{3 * MIB}\n")

    def version_1(self, path: str) -> None:
        self.write("proc/self/cgroup", f"4:memory:{path}\n1:name=systemd:/\n0::/\n")
        self.write(
            "proc/self/mountinfo",
            "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
            "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        )

    def group_1(self, path: str, limit: int, used: int, idle: int = 0, kills: int = 0) -> None:
        folder = f"sys/fs/cgroup/memory{path}"
        self.write(f"{folder}/memory.limit_in_bytes", f"{limit}\n")
        self.write(f"{folder}/memory.usage_in_bytes", f"{used * MIB}\n")
        self.write(
            f"{folder}/memory.stat",
            f"inactive_file 0\ntotal_inactive_file {idle * MIB}\ntotal_swap {5 * MIB}\n",
        )
        self.write(
            f"{folder}/memory.oom_control", f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n"
        )


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path / "proc"))
    return Machine(tmp_path)


@pytest.fixture
def recorded(machine: Machine) -> type[MemoryPlugin]:
    class Recorded(MemoryPlugin):
        _root: ClassVar[Path] = machine.root

    return Recorded


def reading(machine: Machine) -> Reading:
    found = read(machine.root)
    assert found is not None, "the machine's values can be read"
    return found


class TestConfig:
    def test_default_thresholds(self) -> None:
        config = MemoryConfig()
        assert (config.warn_percent, config.critical_percent) == (75, 85)

    @pytest.mark.parametrize(
        ("options", "hint"),
        [
            ({"warn_percent": 86}, "must not be above critical_percent"),
            ({"oom_kill_seconds": -1}, "greater than or equal to 0"),
            ({"swap": True}, "Extra inputs"),
        ],
    )
    def test_invalid_options_are_rejected(self, options: dict[str, Any], hint: str) -> None:
        with pytest.raises(ValidationError, match=hint):
            MemoryConfig.model_validate(options)


class TestRead:
    def test_without_a_limit_it_measures_the_machine(self, machine: Machine) -> None:
        found = reading(machine)
        assert (found.percent, found.available) == (40, 600 * MIB)
        assert (found.swap_used, found.oom_kills) == (30 * MIB, 7)

    def test_version_2_counts_the_working_set(self, machine: Machine) -> None:
        machine.version_2("/app")
        machine.group_2("/app", str(200 * MIB), used=180, idle=80, kills=2)
        found = reading(machine)
        assert (found.percent, found.available, found.limit) == (50, 100 * MIB, 200 * MIB)
        assert (found.swap_used, found.oom_kills) == (3 * MIB, 2)

    @pytest.mark.parametrize("version", [1, 2])
    def test_all_of_the_file_cache_can_be_given_back(self, machine: Machine, version: int) -> None:
        if version == 1:
            machine.version_1("/app")
            machine.group_1("/app", 350 * MIB, used=290, idle=50)
            stat, text = "sys/fs/cgroup/memory/app/memory.stat", "active_file 1\ntotal_active_file"
        else:
            machine.version_2("/app")
            machine.group_2("/app", str(350 * MIB), used=290, idle=50)
            stat, text = (
                "sys/fs/cgroup/app/memory.stat",
                f"slab_reclaimable {10 * MIB}\nactive_file",
            )
        file = machine.root / stat
        file.write_text(f"{file.read_text()}{text} {200 * MIB}\n")
        found = reading(machine)
        used = 290 - 50 - 200 - (10 if version == 2 else 0)
        assert found.limits[1] == Limit(350 * MIB, used * MIB, 240 * MIB)
        assert found.available == (350 - used) * MIB
        assert found.working_set == 240 * MIB, "as the kubelet computes it"

    def test_the_working_set_without_a_limit_is_the_machine_s(self, machine: Machine) -> None:
        assert reading(machine).working_set is None
        meminfo = machine.root / "proc/meminfo"
        meminfo.write_text(f"{meminfo.read_text()}Inactive(file):   {299 * 1024} kB\n")
        assert reading(machine).working_set == (1000 - 1 - 299) * MIB

    def test_pressure_is_that_of_the_own_cgroup_or_of_the_machine(self, machine: Machine) -> None:
        assert reading(machine).pressure is None
        machine.pressure("proc/pressure/memory", 4.5, 1.25)
        assert reading(machine).pressure == Pressure(4.5, 2.5, 1.25, 1.5)
        machine.version_2("/app")
        assert reading(machine).pressure == Pressure(4.5, 2.5, 1.25, 1.5)
        machine.pressure("sys/fs/cgroup/app/memory.pressure", 30.0, 20.0)
        assert reading(machine).pressure == Pressure(30.0, 2.5, 20.0, 1.5)
        machine.write("sys/fs/cgroup/app/memory.pressure", "some avg10=x\n")
        machine.write("proc/pressure/memory", "")
        assert reading(machine).pressure is None

    def test_version_1_of_a_hybrid_machine(self, machine: Machine) -> None:
        machine.version_1("/docker/app")
        machine.group_1("/docker/app", 200 * MIB, used=180, idle=20, kills=1)
        machine.group_1("/docker", UNLIMITED, used=700)
        found = reading(machine)
        assert (found.percent, found.available) == (80, 40 * MIB)
        assert (found.swap_used, found.oom_kills) == (5 * MIB, 1)

    def test_the_limit_of_an_ancestor_applies_too(self, machine: Machine) -> None:
        machine.version_2("/pod/app")
        machine.group_2("/pod", str(300 * MIB), used=270)
        machine.group_2("/pod/app", str(100 * MIB), used=20)
        found = reading(machine)
        assert found.percent == 90, "the pod is closest to its limit"
        assert found.available == 30 * MIB
        assert found.limit == 100 * MIB

    def test_a_machine_short_of_memory_is_tighter_than_any_limit(self, machine: Machine) -> None:
        machine.version_2("/app")
        machine.group_2("/app", str(200 * MIB), used=20)
        machine.host(available=50)
        found = reading(machine)
        assert (found.percent, found.available) == (95, 50 * MIB)

    @pytest.mark.parametrize("version", [1, 2])
    def test_an_unlimited_cgroup_leaves_the_machine(self, machine: Machine, version: int) -> None:
        if version == 1:
            machine.version_1("/app")
            machine.group_1("/app", UNLIMITED, used=900, kills=3)
        else:
            machine.version_2("/app")
            machine.group_2("/app", "max", used=900, kills=3)
        found = reading(machine)
        assert (len(found.limits), found.percent, found.oom_kills) == (1, 40, 7)

    def test_a_limit_above_the_machine_s_memory_is_ignored(self, machine: Machine) -> None:
        machine.version_2("/app")
        machine.group_2("/app", str(2000 * MIB), used=900)
        assert reading(machine).limit == 1000 * MIB

    def test_missing_files_are_left_out(self, machine: Machine) -> None:
        machine.version_2("/app")
        machine.group_2("/app", str(200 * MIB), used=100)
        for name in ("memory.stat", "memory.events", "memory.swap.current"):
            (machine.root / "sys/fs/cgroup/app" / name).unlink()
        found = reading(machine)
        assert (found.percent, found.swap_used, found.oom_kills) == (50, None, None)
        (machine.root / "sys/fs/cgroup/app/memory.current").unlink()
        assert len(reading(machine).limits) == 1

    def test_more_idle_pages_than_usage_counts_as_zero(self, machine: Machine) -> None:
        machine.version_2("/app")
        machine.group_2("/app", str(200 * MIB), used=10, idle=11)
        machine.host(available=1000)
        assert reading(machine).percent == 0


class TestJudge:
    @pytest.mark.parametrize(
        ("used", "killed_ago", "status", "code"),
        [
            (74, None, Status.HEALTHY, "ok"),
            (75, None, Status.DEGRADED, "memory_high"),
            (85, None, Status.UNHEALTHY, "memory_critical"),
            (10, 0.0, Status.DEGRADED, "oom_kill"),
            (80, 299.0, Status.DEGRADED, "oom_kill"),
            (90, 0.0, Status.UNHEALTHY, "memory_critical"),
            (10, 300.0, Status.HEALTHY, "ok"),
        ],
    )
    def test_the_worst_problem_decides(
        self, used: int, killed_ago: float | None, status: Status, code: str
    ) -> None:
        found = Reading((Limit(100 * MIB, used * MIB),), 0, 0, Path("/proc/vmstat"))
        check = judge(found, killed_ago, MemoryConfig())
        assert (check.status, check.code) == (status, code)
        assert check.data["memory_percent"] == used
        assert check.data["memory_available_mb"] == 100 - used

    @pytest.mark.parametrize(
        ("used", "stalled", "code"),
        [(10, 9.9, "ok"), (10, 10.0, "memory_pressure"), (80, 50.0, "memory_pressure")],
    )
    def test_waiting_for_memory_is_reported(self, used: int, stalled: float, code: str) -> None:
        pressure = Pressure(90.0, 1.0, stalled, 1.0)
        limits = (Limit(100 * MIB, used * MIB),)
        found = Reading(limits, 0, 0, Path("/proc/vmstat"), pressure)
        check = judge(found, None, MemoryConfig())
        assert (check.code, check.data["pressure_percent"]) == (code, stalled)


class TestPlugin:
    def test_values_of_this_machine(self) -> None:
        with run_plugin(MemoryPlugin, {}) as plugin:
            result = plugin.probe("memory")
            samples = {sample.metric: sample.value for sample in plugin.collect()}
        percent, available, limit = (
            result.data[key] for key in ("memory_percent", "memory_available_mb", "limit_mb")
        )
        assert isinstance(percent, float)
        assert isinstance(available, int)
        assert isinstance(limit, int)
        assert 0 < percent <= 100
        assert 0 <= available < limit
        assert set(samples) <= {family.name for family in FAMILIES}
        assert samples["aliaport_memory_available_bytes"] < samples["aliaport_memory_limit_bytes"]

    def test_an_oom_kill_is_reported_for_a_while(
        self, machine: Machine, recorded: type[MemoryPlugin]
    ) -> None:
        clock = FakeClock(datetime(2026, 11, 24, tzinfo=UTC))
        with run_plugin(recorded, {"oom_kill_seconds": 60}, clock=clock) as plugin:
            assert plugin.probe("memory").code == "ok", "kills before the start are not reported"
            machine.kills(8)
            assert plugin.probe("memory").code == "oom_kill"
            assert plugin.probe("memory").code == "oom_kill", "not only to the first caller"
            clock.advance(59)
            assert plugin.probe("memory").code == "oom_kill"
            clock.advance(1)
            assert plugin.probe("memory").code == "ok"

    def test_a_kill_first_seen_by_a_scrape_is_reported_too(
        self, machine: Machine, recorded: type[MemoryPlugin]
    ) -> None:
        with run_plugin(recorded, {}) as plugin:
            machine.kills(8)
            samples = {sample.metric: sample.value for sample in plugin.collect()}
            assert samples["aliaport_memory_oom_kills_total"] == 8
            assert plugin.probe("memory").code == "oom_kill"

    def test_another_counter_or_an_unreadable_one_does_not_count_as_a_kill(
        self, machine: Machine, recorded: type[MemoryPlugin]
    ) -> None:
        machine.version_2("/app")
        machine.group_2("/app", str(200 * MIB), used=20, kills=1)
        with run_plugin(recorded, {}) as plugin:
            assert plugin.probe("memory").code == "ok"
            machine.group_2("/app", "max", used=20, kills=1)
            assert plugin.probe("memory").code == "ok", "now the machine's 7 kills are counted"
            machine.write("proc/vmstat", "pswpin 0\npswpout 0\n")
            assert plugin.probe("memory").code == "ok"
            machine.kills(7)
            assert plugin.probe("memory").code == "ok"

    def test_an_unreadable_machine_is_degraded(
        self, machine: Machine, recorded: type[MemoryPlugin]
    ) -> None:
        (machine.root / "proc/meminfo").unlink()
        with run_plugin(recorded, {}) as plugin:
            assert plugin.probe("memory").code == "unreadable"
            assert plugin.collect() == []


@pytest.fixture(scope="module")
def in_a_cgroup(tmp_path_factory: pytest.TempPathFactory, cannot_run: Any) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("memory")
    story = play("plugins.memory.tests.support.scenarios", str(folder))
    if "impossible" in story:
        cannot_run("in_a_cgroup", f"cgroups cannot be created here: {story['impossible']}")
    return story


@pytest.mark.needs("root")
@pytest.mark.service
class TestInsideARealCgroup:
    def test_the_limit_of_the_parent_applies(self, in_a_cgroup: dict[str, Any]) -> None:
        start = in_a_cgroup["start"]
        assert start["data"]["limited_by"] == "cgroup"
        assert start["samples"]["aliaport_memory_limit_bytes"] == in_a_cgroup["limit"]

    def test_an_allocation_shows_until_it_is_freed(self, in_a_cgroup: dict[str, Any]) -> None:
        left = {
            step: in_a_cgroup[step]["samples"]["aliaport_memory_available_bytes"]
            for step in ("start", "allocated", "freed")
        }
        slack = 8 * MIB
        assert left["start"] - left["allocated"] == pytest.approx(in_a_cgroup["block"], abs=slack)
        assert left["start"] - left["freed"] == pytest.approx(0, abs=slack)

    def test_reading_a_file_once_does_not_count_as_usage(self, in_a_cgroup: dict[str, Any]) -> None:
        before, after, block = in_a_cgroup["freed"], in_a_cgroup["file_read"], in_a_cgroup["block"]
        assert after["charged"] - before["charged"] > block / 2, (
            "the page cache did not keep the file"
        )
        available = "aliaport_memory_available_bytes"
        lost = before["samples"][available] - after["samples"][available]
        assert lost < block / 4, "idle file pages counted as usage"

    def test_reading_it_again_does_not_count_either(self, in_a_cgroup: dict[str, Any]) -> None:
        before, after = in_a_cgroup["freed"]["samples"], in_a_cgroup["file_read_again"]["samples"]
        block, working_set = in_a_cgroup["block"], "aliaport_memory_working_set_bytes"
        if after[working_set] - before[working_set] < block / 2:
            pytest.skip("this kernel does not count pages that were read twice as active")
        available = "aliaport_memory_available_bytes"
        assert before[available] - after[available] < block / 4

    def test_an_oom_kill_is_reported(self, in_a_cgroup: dict[str, Any]) -> None:
        assert in_a_cgroup["returncode"] == -signal.SIGKILL, "the kernel did not kill the child"
        assert (in_a_cgroup["killed"]["status"], in_a_cgroup["killed"]["code"]) == (
            "degraded",
            "oom_kill",
        )
        assert in_a_cgroup["killed"]["samples"]["aliaport_memory_oom_kills_total"] == 1
