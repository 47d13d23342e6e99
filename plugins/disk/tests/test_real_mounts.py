"""The disk plugin on mounts that really fill up, turn read-only, fail and hang (root only)."""

import errno
from pathlib import Path
from typing import Any

import pytest

from tests.support.scenarios import play

pytestmark = pytest.mark.service

SCENARIOS = "plugins.disk.tests.support.scenarios"


def story(name: str, folder: Path) -> dict[str, Any]:
    within = ("unshare", "--mount", "--propagation", "private")
    return play(SCENARIOS, name, str(folder), within=within)


@pytest.mark.needs("root", "unshare")
def test_a_file_system_that_fills_up(tmp_path: Path) -> None:
    told = story("full", tmp_path)
    assert told["empty"]["code"] == "ok"
    assert (told["low"]["status"], told["low"]["code"]) == ("degraded", "space_low")
    used, available = map(int, told["df"])
    percent = told["low"]["data"]["disk_percent"]
    assert percent == round(100 * used / (used + available), 1), "df says otherwise"
    assert told["errno"] == errno.ENOSPC
    assert (told["full"]["status"], told["full"]["code"]) == ("unhealthy", "space_critical")
    assert told["full"]["data"]["disk_percent"] == 100
    assert told["emptied"]["code"] == "ok"
    assert (told["no_inodes"]["status"], told["no_inodes"]["code"]) == (
        "unhealthy",
        "inodes_critical",
    )


@pytest.mark.needs("root", "unshare")
def test_a_read_only_remount_and_a_lost_mount(tmp_path: Path) -> None:
    told = story("read_only", tmp_path)
    assert [told[step]["code"] for step in ("rw", "ro", "back")] == ["ok", "read_only", "ok"]
    assert told["ro"]["status"] == "unhealthy"
    gauges = [told[f"{step}_samples"]["aliaport_disk_read_only"] for step in ("rw", "ro", "back")]
    assert gauges == [0, 1, 0]
    assert (told["unmounted"]["code"], told["unmounted_samples"]) == ("not_mounted", 0)
    assert told["removed"]["code"] == "missing"


@pytest.mark.needs("root", "unshare")
def test_an_ext4_that_gives_up_after_an_error(tmp_path: Path) -> None:
    told = story("failing_ext4", tmp_path)
    assert told["before"]["code"] == "ok"
    assert told["written"] == "Read-only file system"
    assert (told["after"]["status"], told["after"]["code"]) == ("unhealthy", "read_only")


@pytest.mark.needs("root", "unshare")
def test_a_hung_mount_is_one_stuck_probe_and_its_own_families(tmp_path: Path) -> None:
    told = story("hung", tmp_path)
    assert (told["first"]["code"], told["second"]["code"]) == ("timeout", "stuck")
    assert (told["good"]["code"], told["good_again"]["code"]) == ("ok", "ok")
    assert told["mounts"] == [str(tmp_path / "good")]
    assert told["healed"]["code"] in {"unreadable", "not_mounted"}, "once the mount is gone"
