"""Tests the disk plugin on mounts that really fill up, turn read-only, fail, hang and lie (root)."""

import errno
from pathlib import Path
from typing import Any

import pytest

from tests.support.scenarios import play

pytestmark = pytest.mark.service

SCENARIOS = "plugins.disk.tests.support.scenarios"


def play_scenario(name: str, folder: Path) -> dict[str, Any]:
    within = ("unshare", "--mount", "--propagation", "private")
    return play(SCENARIOS, name, str(folder), within=within)


@pytest.mark.needs("root", "unshare")
def test_a_file_system_that_fills_up_is_reported(tmp_path: Path) -> None:
    steps = play_scenario("full", tmp_path)
    assert steps["empty"]["code"] == "ok"
    assert (steps["low"]["status"], steps["low"]["code"]) == ("degraded", "space_low")
    used, available = map(int, steps["df"])
    percent = steps["low"]["data"]["disk_percent"]
    assert percent == round(100 * used / (used + available), 1), "df reports another value"
    assert steps["errno"] == errno.ENOSPC
    assert (steps["full"]["status"], steps["full"]["code"]) == ("unhealthy", "space_critical")
    assert steps["full"]["data"]["disk_percent"] == 100
    assert steps["emptied"]["code"] == "ok"
    assert (steps["no_inodes"]["status"], steps["no_inodes"]["code"]) == (
        "unhealthy",
        "inodes_critical",
    )


@pytest.mark.needs("root", "unshare")
def test_a_read_only_remount_and_a_lost_mount_are_reported(tmp_path: Path) -> None:
    steps = play_scenario("read_only", tmp_path)
    assert [steps[step]["code"] for step in ("rw", "ro", "back")] == ["ok", "read_only", "ok"]
    assert steps["ro"]["status"] == "unhealthy"
    gauges = [steps[f"{step}_samples"]["aliaport_disk_read_only"] for step in ("rw", "ro", "back")]
    assert gauges == [0, 1, 0]
    assert (steps["unmounted"]["code"], steps["unmounted_samples"]) == ("not_mounted", 0)
    assert steps["removed"]["code"] == "missing"


@pytest.mark.needs("root", "unshare")
def test_an_ext4_that_turns_read_only_after_an_error_is_reported(tmp_path: Path) -> None:
    steps = play_scenario("failing_ext4", tmp_path)
    assert steps["before"]["code"] == "ok"
    assert steps["write_error"] == "Read-only file system"
    assert (steps["after"]["status"], steps["after"]["code"]) == ("unhealthy", "read_only")


@pytest.mark.needs("root", "unshare")
def test_a_hung_mount_affects_only_its_own_probe_and_metrics(tmp_path: Path) -> None:
    steps = play_scenario("hung", tmp_path)
    assert (steps["first"]["code"], steps["second"]["code"]) == ("timeout", "stuck")
    assert (steps["good"]["code"], steps["good_again"]["code"]) == ("ok", "ok")
    assert steps["mounts"] == [str(tmp_path / "good")]
    assert steps["recovered"]["code"] in {"unreadable", "not_mounted"}, "after the mount is gone"


BLOCK = 4096


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return play_scenario("reports", tmp_path_factory.mktemp("reports"))


@pytest.mark.needs("root", "unshare")
class TestImpossibleValues:
    def test_possible_ones_are_all_exported(self, reported: dict[str, Any]) -> None:
        usual = reported["usual"]
        assert (usual["code"], usual["data"]["disk_percent"]) == ("ok", 66.7)
        assert usual["samples"] == {
            "used_percent": pytest.approx(100 * 600 / 900),
            "free_bytes": 300 * BLOCK,
            "size_bytes": 1000 * BLOCK,
            "inodes": 100,
            "inodes_free": 75,
            "read_only": 0,
        }

    @pytest.mark.parametrize(
        ("case", "absent", "named"),
        [
            ("available_beyond_the_size", {"used_percent", "free_bytes"}, "f_bavail=2000"),
            ("available_beyond_the_free", {"used_percent", "free_bytes"}, "f_bavail=401"),
            ("available_negative", {"used_percent", "free_bytes"}, "f_bavail=-20"),
            ("free_beyond_the_size", {"used_percent"}, "f_bfree=1001"),
            ("free_negative", {"used_percent"}, "f_bfree=-1"),
            (
                "free_and_available_beyond_the_size",
                {"used_percent", "free_bytes"},
                "f_bfree=1002, f_bavail=1001",
            ),
            ("blocks_without_a_size", {"free_bytes", "size_bytes"}, "f_frsize=0"),
            ("size_negative", {"used_percent", "free_bytes", "size_bytes"}, "f_blocks=-1"),
            ("inodes_free_beyond_the_total", {"inodes_free"}, "f_ffree=101"),
            ("inodes_free_negative", {"inodes_free"}, "f_ffree=-1"),
            ("inodes_negative", {"inodes", "inodes_free"}, "f_files=-1"),
        ],
    )
    def test_impossible_ones_are_absent_and_named(
        self, reported: dict[str, Any], case: str, absent: set[str], named: str
    ) -> None:
        found, usual = reported[case], reported["usual"]["samples"]
        assert (found["status"], found["code"]) == ("healthy", "ok")
        assert found["samples"] == {key: value for key, value in usual.items() if key not in absent}
        assert named in found["summary"]
        assert (found["data"]["disk_percent"] is None) == ("used_percent" in absent)

    def test_the_others_are_judged(self, reported: dict[str, Any]) -> None:
        assert reported["space_impossible_and_no_inodes"]["code"] == "inodes_critical"
        assert reported["available_beyond_the_free_and_no_inodes"]["code"] == "inodes_critical"
        assert reported["inodes_impossible_and_no_space"]["code"] == "space_critical"


@pytest.mark.needs("root", "unshare")
def test_names_with_any_character_are_found_in_the_table_of_mounts(tmp_path: Path) -> None:
    found = play_scenario("names", tmp_path)
    assert set(found["codes"]) == {"ok"}
    assert found["samples"] == 6 * len(found["codes"])


@pytest.mark.needs("root", "unshare")
def test_mounts_that_hold_folders_of_the_service_are_checked_once(tmp_path: Path) -> None:
    found = play_scenario("own_folders", tmp_path)
    assert found["own mount"]["more"] == [str(tmp_path / "logs")], "once for both folders"
    assert found["own mount"]["code"] == "space_critical"
    assert found["configured mount"]["more"] == []
    assert found["root"]["more"] == []
    assert found["no UTF-8"]["more"] == [f"{tmp_path}/\\udcff"]


@pytest.mark.needs("root", "unshare")
def test_a_running_service_checks_the_mount_of_its_log_folder(tmp_path: Path) -> None:
    found = play_scenario("running_service", tmp_path)
    assert found["probes"]["disk_root"]["data"]["mount"] == "/"
    (more,) = {name for name in found["probes"] if name.startswith("disk_")} - {"disk_root"}
    assert found["probes"][more]["data"]["mount"] == str(tmp_path / "mount")
    assert found["probes"][more]["code"] == "space_critical"
