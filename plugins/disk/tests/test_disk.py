"""Tests the disk plugin on this machine's file systems and on made-up usage values."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aliaport_disk import usage as usage_module
from aliaport_disk.config import DiskConfig, probe_names
from aliaport_disk.plugin import FAMILIES, DiskPlugin, judge
from aliaport_disk.usage import Unusable, Usage, measure, mount_of
from pydantic import ValidationError

from aliaport.plugin import Check, Probe, Status
from aliaport.testing import make_context, run_plugin

GIB = 2**30


def usage(**changed: Any) -> Usage:
    values: dict[str, Any] = {
        "size_bytes": 100 * GIB,
        "free_bytes": 50 * GIB,
        "used_percent": 50.0,
        "inodes": 1000,
        "inodes_free": 900,
        "inodes_percent": 10.0,
        "read_only": False,
        "filesystem": "ext4",
    }
    return Usage(**(values | changed))


class TestConfig:
    def test_defaults_watch_the_root(self) -> None:
        config = DiskConfig()
        assert (config.mounts, config.warn_percent, config.critical_percent) == (("/",), 80, 95)

    def test_paths_are_normalized(self) -> None:
        config = DiskConfig.model_validate({"mounts": ["//data//", "/./x/", "/"]})
        assert config.mounts == ("/data", "/x", "/")

    @pytest.mark.parametrize(
        ("options", "hint"),
        [
            ({"mounts": []}, "at least 1"),
            ({"mounts": ["data"]}, "absolute path"),
            ({"mounts": ["/a/../b"]}, "absolute path"),
            ({"mounts": ["/data", "/data/"]}, "twice"),
            ({"warn_percent": 96}, "warn_percent must not be above critical_percent"),
            ({"warn_inodes_percent": 99}, "warn_inodes_percent must not be above"),
            ({"critical_percent": 101}, "less than or equal to 100"),
            ({"warn_percent": 0}, "greater than 0"),
            ({"read_only_mounts": ["/iso"]}, "/iso, which is not in mounts"),
            ({"mount": ["/"]}, "Extra inputs"),
        ],
    )
    def test_invalid_options_are_rejected(self, options: dict[str, Any], hint: str) -> None:
        with pytest.raises(ValidationError, match=hint):
            DiskConfig.model_validate(options)


class TestProbeNames:
    def test_they_are_derived_from_the_mount(self) -> None:
        assert probe_names(("/", "/data", "/var/lib/Post-gres")) == {
            "/": "disk_root",
            "/data": "disk_data",
            "/var/lib/Post-gres": "disk_var_lib_post_gres",
        }

    def test_they_are_unique_and_valid_for_any_paths(self) -> None:
        deep = "/a" * 60
        mounts = ("/", "/root", "/Root", "/root_2", "/ü", "/-", deep, deep + "/b", "/a b", "/a_b")
        names = probe_names(mounts)
        assert list(names) == list(mounts)
        assert len(set(names.values())) == len(mounts), names
        for name in names.values():
            Probe(name=name, run=Check.healthy)


class TestDeclarations:
    def test_only_the_first_mount_fills_the_section(self) -> None:
        plugin = DiskPlugin(DiskConfig(mounts=("/", "/proc")), make_context("disk"))
        first, second = plugin.probes()
        assert (first.name, first.title, first.section) == ("disk_root", "Disk /", "system")
        assert dict(first.section_defaults) == {"disk_percent": None, "disk_free_gb": None}
        assert (second.name, second.section, dict(second.section_defaults)) == (
            "disk_proc",
            None,
            {},
        )
        assert not first.critical
        assert not second.critical
        assert [collector.name for collector in plugin.metrics()] == ["disk_root", "disk_proc"]


class TestMountOf:
    TABLE = "root / ext4 rw 0 0\nlogs /var/log tmpfs rw 0 0\nother /var/logs tmpfs rw 0 0\n"

    @pytest.mark.parametrize(
        ("folder", "mount"),
        [
            ("/var/log/aliaport", "/var/log"),
            ("/var/log", "/var/log"),
            ("/var/log-old", "/"),
            ("/", "/"),
        ],
    )
    def test_the_nearest_mount_point_above_counts(
        self, tmp_path: Path, folder: str, mount: str
    ) -> None:
        table = tmp_path / "mounts"
        table.write_text(self.TABLE)
        assert mount_of(Path(folder), table) == mount

    def test_without_an_entry_it_is_the_root_and_without_a_table_unknown(
        self, tmp_path: Path
    ) -> None:
        table = tmp_path / "mounts"
        assert mount_of(tmp_path, table) is None
        table.touch()
        assert mount_of(tmp_path, table) == "/"

    def test_the_option_turns_it_off(self) -> None:
        options = {"mounts": ["/proc"], "data_folders": False}
        with run_plugin(DiskPlugin, options, data_folders=[Path("/")]) as plugin:
            assert {sample.labels["mount"] for sample in plugin.collect()} == {"/proc"}


class TestJudge:
    @pytest.mark.parametrize(
        ("changed", "status", "code"),
        [
            ({}, Status.HEALTHY, "ok"),
            ({"used_percent": 79.9}, Status.HEALTHY, "ok"),
            ({"used_percent": 80.0}, Status.DEGRADED, "space_low"),
            ({"used_percent": 95.0}, Status.UNHEALTHY, "space_critical"),
            ({"inodes_percent": 80.0}, Status.DEGRADED, "inodes_low"),
            ({"inodes_percent": 95.0}, Status.UNHEALTHY, "inodes_critical"),
            ({"inodes_percent": None, "inodes": 0}, Status.HEALTHY, "ok"),
            ({"used_percent": None, "size_bytes": 0}, Status.HEALTHY, "ok"),
            ({"read_only": True, "used_percent": 100.0}, Status.UNHEALTHY, "read_only"),
            ({"used_percent": 81.0, "inodes_percent": 96.0}, Status.UNHEALTHY, "inodes_critical"),
        ],
    )
    def test_the_worst_problem_decides(
        self, changed: dict[str, Any], status: Status, code: str
    ) -> None:
        check = judge("/data", usage(**changed), DiskConfig(mounts=("/data",)))
        assert (check.status, check.code) == (status, code)

    def test_a_mount_that_is_read_only_on_purpose_may_be_full(self) -> None:
        config = DiskConfig(mounts=("/iso",), read_only_mounts=("/iso",))
        check = judge("/iso", usage(read_only=True, used_percent=100.0), config)
        assert (check.status, check.code) == (Status.HEALTHY, "ok")

    def test_values_are_rounded_for_the_status_page(self) -> None:
        check = judge("/", usage(used_percent=65.04, free_bytes=50 * GIB + 1), DiskConfig())
        assert (check.data["disk_percent"], check.data["disk_free_gb"]) == (65.0, 50.0)


class TestMeasure:
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.mounts = tmp_path / "mounts"
        self.path = tmp_path / "a disk"
        self.path.mkdir()

    def mounted(self, options: str = "rw,relatime", kind: str = "ext4") -> Usage:
        escaped = str(self.path).replace(" ", "\\040")
        self.mounts.write_text(
            f"old {escaped} ext2 ro 0 0\nnonsense\n/dev/x {escaped} {kind} {options} 0 0\n"
        )
        return measure(str(self.path), self.mounts)

    def test_the_last_mount_on_the_same_point_counts(self) -> None:
        found = self.mounted()
        assert (found.filesystem, found.read_only) == ("ext4", False)

    def test_an_ext4_in_emergency_mode_is_read_only_although_statvfs_reports_it_writable(
        self,
    ) -> None:
        assert self.mounted("rw,relatime,emergency_ro").read_only

    def test_the_percentage_matches_df(self) -> None:
        stats, found = os.statvfs(self.path), self.mounted()
        used = stats.f_blocks - stats.f_bfree
        assert found.used_percent == pytest.approx(100 * used / (used + stats.f_bavail), abs=0.5), (
            "used / (used + available to users other than root)"
        )

    def test_a_folder_on_another_file_system_is_not_mounted(self) -> None:
        self.mounts.write_text("/dev/x / ext4 rw 0 0\n")
        with pytest.raises(Unusable) as caught:
            measure(str(self.path), self.mounts)
        assert caught.value.code == "not_mounted"

    def test_the_root_of_a_chroot_need_not_be_a_mount_point(self) -> None:
        self.mounts.write_text("")
        assert measure("/", self.mounts).size_bytes

    def test_the_usage_is_read_without_a_table_of_mounts(self) -> None:
        assert measure(str(self.path), self.mounts).size_bytes

    def test_a_link_to_a_mount_point_is_followed(self) -> None:
        self.mounted()
        link = self.mounts.parent / "link"
        link.symlink_to(self.path)
        assert measure(str(link), self.mounts).filesystem == "ext4"

    @pytest.mark.parametrize("path", ["/no/such/folder", "/proc/version/x"])
    def test_a_missing_path_has_its_own_code(self, path: str) -> None:
        with pytest.raises(Unusable, match="does not exist") as caught:
            measure(path)
        assert caught.value.code == "missing"

    def test_a_file_system_without_size_and_inodes_has_no_percentages(self) -> None:
        found = measure("/proc")
        assert (found.used_percent, found.inodes_percent, found.filesystem) == (None, None, "proc")


class TestOnThisMachine:
    def test_the_root_is_measured_and_exported(self) -> None:
        with run_plugin(DiskPlugin, {}) as plugin:
            result = plugin.probe("disk_root")
            samples = plugin.collect()
        assert result.code not in {"missing", "not_mounted", "unreadable", "timeout", "error"}
        assert isinstance(result.data["disk_percent"], float)
        assert 0 <= result.data["disk_percent"] <= 100
        assert {sample.metric for sample in samples} <= {family.name for family in FAMILIES}
        assert {sample.labels["mount"] for sample in samples} == {"/"}
        values = {sample.metric: sample.value for sample in samples}
        assert 0 < values["aliaport_disk_free_bytes"] < values["aliaport_disk_size_bytes"]

    def test_a_broken_mount_does_not_affect_the_others(self, tmp_path: Path) -> None:
        with run_plugin(DiskPlugin, {"mounts": ["/", "/no/such", str(tmp_path)]}) as plugin:
            names = list(probe_names(("/", "/no/such", str(tmp_path))).values())
            codes = [plugin.probe(name).code for name in names]
            mounts = {sample.labels["mount"] for sample in plugin.collect()}
        assert codes[1:] == ["missing", "not_mounted"]
        assert codes[0] not in {"missing", "not_mounted", "unreadable"}
        assert mounts == {"/"}


class TestSubstituteForAHungMount:
    """A statvfs that blocks: the closest to a hung mount if root or FUSE is missing."""

    @pytest.fixture
    def hung_path(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        released = threading.Event()

        def statvfs(path: str) -> os.statvfs_result:
            if path == "/proc":
                released.wait(30)
            return os.statvfs(path)

        class Os:
            path, ST_RDONLY = os.path, os.ST_RDONLY

        Os.statvfs = staticmethod(statvfs)  # type: ignore[attr-defined]
        monkeypatch.setattr(usage_module, "os", Os)
        yield "/proc"
        released.set()

    def test_only_its_own_probe_and_metrics_are_affected(self, hung_path: str) -> None:
        with run_plugin(DiskPlugin, {"mounts": ["/", hung_path]}) as plugin:
            codes = [plugin.probe("disk_proc").code for _ in range(2)]
            assert codes == ["timeout", "stuck"]
            assert plugin.probe("disk_root").code not in {"timeout", "stuck"}
            samples = plugin.collect(may_fail=["disk_proc"])
            assert {sample.labels["mount"] for sample in samples} == {"/"}
