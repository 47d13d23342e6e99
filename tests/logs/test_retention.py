"""Retention: which rotated files are compressed and deleted, and when."""

import gzip
import os
import time
from pathlib import Path

import pytest

from aliaport.logs.retention import Retention, RetentionLimits, RotatedFile, compress, expired, tidy
from tests.support.waiting import wait_until


def rotated(name: str, days_old: float, size: int = 100, live: str = "app.log") -> RotatedFile:
    return RotatedFile(Path(name), live, 1e9 - days_old * 86_400, size)


KEPT = RetentionLimits({"app.log": 30, "api.log": 30, "audit.log": 90}, 1_000)


def test_retention_by_age_keeps_the_newest_and_the_audit_log_longer() -> None:
    files = [
        rotated("a", 40), rotated("b", 31), rotated("c", 29),
        rotated("d", 31, live="audit.log"), rotated("e", 100, live="audit.log"),
        rotated("f", 400, live="api.log"),
    ]  # fmt: skip
    gone = {str(file.path) for file in expired(files, 0, KEPT, 1e9)}
    assert gone == {"a", "b", "e"}


def test_retention_by_size_deletes_the_oldest_and_the_audit_log_last() -> None:
    files = [
        *(rotated(f"app{age}", age, 300) for age in (1, 2, 3, 4)),
        *(rotated(f"audit{age}", age, 300, "audit.log") for age in (5, 6)),
    ]
    gone = [str(file.path) for file in expired(files, 200, KEPT, 1e9)]
    assert gone == ["app4", "app3", "app2", "audit6"]
    assert expired(files, 10**9, KEPT, 1e9)[-1].path.name == "audit6", (
        "the newest are never removed"
    )


def test_compression_keeps_content_time_and_mode_and_leaves_no_partial_file(tmp_path: Path) -> None:
    path = tmp_path / "app.log.20261125T101500Z-0123abcd"
    path.write_bytes(b"line\n" * 10_000)
    path.chmod(0o640)
    os.utime(path, (1e9, 1e9))
    compress(path)
    (packed,) = tmp_path.iterdir()
    assert packed.name == f"{path.name}.gz"
    assert gzip.decompress(packed.read_bytes()) == b"line\n" * 10_000
    assert packed.stat().st_mtime == 1e9
    assert packed.stat().st_mode & 0o777 == 0o640


def test_old_files_are_compressed_and_the_oldest_deleted(tmp_path: Path) -> None:
    now = time.time()
    for age in (0.01, 1, 20, 40, 100):
        for live in ("app.log", "audit.log"):
            path = tmp_path / f"{live}.20261125T101500Z-{round(age * 100):08x}"
            path.write_bytes(b"line\n" * 100)
            os.utime(path, (now - age * 86_400,) * 2)
    (tmp_path / ".app.log.20261125T101500Z-0123abcd.gz").write_bytes(b"half")
    (tmp_path / "somebody-else.log").write_bytes(b"theirs")
    kept = RetentionLimits({"app.log": 30, "audit.log": 90}, 10**9)
    tidy(tmp_path, kept, ("app.log", "audit.log"), now)
    names = sorted(path.name for path in tmp_path.iterdir())
    stamp = "20261125T101500Z"
    assert names == [
        f"app.log.{stamp}-00000001", f"app.log.{stamp}-00000064.gz", f"app.log.{stamp}-000007d0.gz",
        f"audit.log.{stamp}-00000001", f"audit.log.{stamp}-00000064.gz",
        f"audit.log.{stamp}-000007d0.gz", f"audit.log.{stamp}-00000fa0.gz", "somebody-else.log",
    ]  # fmt: skip


def test_links_in_place_of_rotated_files_are_left_alone(tmp_path: Path) -> None:
    """Otherwise root would copy what they point to, or write it."""
    (tmp_path / "secret").write_text("kept")
    rotated = tmp_path / "app.log.20261125T101500Z-0123abcd"
    rotated.symlink_to("secret")
    temporary = tmp_path / f".{rotated.name}.gz"
    temporary.symlink_to("secret")
    tidy(tmp_path, RetentionLimits({"app.log": 30}, 10**9), ("app.log",), time.time() + 1e6)
    assert sorted(path.name for path in tmp_path.iterdir()) == [rotated.name, "secret"]
    rotated.unlink()
    rotated.write_text("line")
    temporary.symlink_to("secret")  # after the leftovers were removed
    with pytest.raises(FileExistsError):
        compress(rotated)
    assert (tmp_path / "secret").read_text() == "kept"


def test_a_file_that_cannot_be_compressed_keeps_no_other_from_being_tidied(
    tmp_path: Path,
) -> None:
    now = time.time()
    for number, age in enumerate((3, 1.5, 1)):
        path = tmp_path / f"app.log.20261125T101500Z-{number:08x}"
        path.write_bytes(b"line\n")
        os.utime(path, (now - age * 86_400,) * 2)
    tmp_path.chmod(0o777)
    (tmp_path / "second name").hardlink_to(tmp_path / "app.log.20261125T101500Z-00000001")
    with pytest.raises(OSError, match="hard link"):
        tidy(tmp_path, RetentionLimits({"app.log": 2}, 10**9), ("app.log",), now)
    names = sorted(path.name for path in tmp_path.glob("app.log.*"))
    assert [name.partition("Z-")[2] for name in names] == ["00000001", "00000002.gz"]


def test_a_thread_tidies_up_at_start_and_after_each_rotation(tmp_path: Path) -> None:
    def old(number: int) -> Path:
        path = tmp_path / f"app.log.20260101T101500Z-{number:08x}"
        new = tmp_path / "new"
        new.write_bytes(b"line\n")
        os.utime(new, (number, number))
        return new.rename(path)  # at once: the thread may be at work

    (first, newest) = old(1), old(1_000)
    retention = Retention(tmp_path, RetentionLimits({"app.log": 30}, 10**9), ("app.log",))
    packed = newest.with_name(f"{newest.name}.gz")
    wait_until(lambda: packed.exists() and not first.exists(), "it runs at the start")
    second = old(2)
    retention.wake()
    # A run that had already begun may compress it.
    wait_until(lambda: not [*tmp_path.glob(f"{second.name}*")], "it runs after a rotation")
    assert [path for path in tmp_path.iterdir() if path.suffix == ".gz"] == [packed]
