"""Tests the disk plugin on mounts that really fill up, turn read-only, fail and hang (root)."""

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
