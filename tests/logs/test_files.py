"""The log files: real files, real disks that fill up, real processes that are killed."""

import errno
import fcntl
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aliaport.errors import StartupError
from aliaport.logs.files import OPENER_LENGTH
from aliaport.logs.folder import lock_folder
from tests.support.ecs import parsed
from tests.support.logs import LINES, entry, log_file, numbers, rotated_files, writer_of
from tests.support.tmpfs import run_on_tmpfs

SUPPORT = Path(__file__).parents[1] / "support"


def test_every_file_begins_with_a_unique_line_longer_than_a_fingerprint(
    tmp_path: Path,
) -> None:
    writer = writer_of(log_file(tmp_path, rotate_bytes=4_000))
    for number in range(40):
        writer.put(entry(number, text="x" * 100))
        assert writer.flush(5)
    files = [*rotated_files(tmp_path), tmp_path / "app.log"]
    assert len(files) > 3
    beginnings = {path.read_bytes()[:512] for path in files}
    assert len(beginnings) == len(files), "no two files look alike"
    for path in files:
        first = path.read_bytes().splitlines(keepends=True)[0]
        assert len(first) > OPENER_LENGTH > 1024
        assert parsed(first)["message"] == "log.opened"
        assert path.stat().st_size < 4_000 + 2_000
    assert sorted(numbers(*files)) == list(range(40))


def test_a_new_day_starts_a_new_file(tmp_path: Path) -> None:
    file = log_file(tmp_path)
    file.write(LINES.line(entry(1)))
    file.reopen()
    yesterday = time.time() - 86_400
    os.utime(tmp_path / "app.log", (yesterday, yesterday))
    assert file.write(LINES.line(entry(2))), "the file was rotated"
    (old,) = rotated_files(tmp_path)
    assert (numbers(old), numbers(tmp_path / "app.log")) == ([1], [2])


def test_a_clock_that_goes_back_rotates_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = log_file(tmp_path)
    file.write(LINES.line(entry(1)))
    now = time.time()
    for step in (-86_400 * 3, -3_600, 0):
        monkeypatch.setattr("aliaport.logs.files.time.time", lambda step=step: now + step)
        file.write(LINES.line(entry(2)))
    assert rotated_files(tmp_path) == []
    assert numbers(tmp_path / "app.log") == [1, 2, 2, 2]


def test_a_restart_continues_the_file_and_ends_a_torn_line(tmp_path: Path) -> None:
    file = log_file(tmp_path)
    file.write(LINES.line(entry(1)))
    with (tmp_path / "app.log").open("ab") as stream:
        stream.write(b'{"@timestamp":"2026-11-25T00:00:00Z","log.le')
    log_file(tmp_path).write(LINES.line(entry(2)))
    lines = (tmp_path / "app.log").read_bytes().splitlines(keepends=True)
    assert len(lines) == 4
    assert parsed(lines[3])["aliaport.numbers.number"] == 2, "only the torn line is invalid"


@pytest.mark.parametrize("how", ["moved", "deleted", "folder", "replaced"])
def test_a_removed_file_is_recreated_at_once(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    file = log_file(folder)
    file.write(LINES.line(entry(1)))
    live = folder / "app.log"
    if how == "folder":
        live.unlink()
        folder.rmdir()
    elif how == "deleted":
        live.unlink()
    else:
        live.rename(folder / "app.log.1")
    if how == "replaced":
        live.touch()
    file.write(LINES.line(entry(2)))
    assert numbers(live) == [2]
    assert parsed(live.read_bytes().splitlines(keepends=True)[0])["message"] == "log.opened"


def test_a_file_that_is_copied_and_truncated_goes_on_from_its_start(tmp_path: Path) -> None:
    """logrotate does so with copytruncate; a backup may be a hard link."""
    file = log_file(tmp_path)
    live = tmp_path / "app.log"
    file.write(LINES.line(entry(1)))
    (tmp_path / "app.log.1").write_bytes(live.read_bytes())
    os.truncate(live, 0)
    file.write(LINES.line(entry(2)))
    tmp_path.chmod(0o700)
    (tmp_path / "backup").hardlink_to(live)
    file.reopen()
    file.write(LINES.line(entry(3)))
    lines = live.read_bytes().splitlines(keepends=True)
    assert [parsed(line)["aliaport.numbers.number"] for line in lines] == [2, 3]


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "app.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        log_file(tmp_path).open()
    (tmp_path / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StartupError, match=r"\.lock cannot be written: it is a symbolic link"):
        lock_folder(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_hard_link_in_a_folder_of_others_is_not_written(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("kept")
    tmp_path.chmod(0o777)
    (tmp_path / "app.log").hardlink_to(target)
    with pytest.raises(OSError, match="hard link"):
        log_file(tmp_path).open()
    (tmp_path / ".lock").hardlink_to(target)
    with pytest.raises(StartupError, match=r"\.lock cannot be written: it is a hard link"):
        lock_folder(tmp_path)
    assert target.read_text() == "kept"


def test_only_the_owner_writes_a_file_and_other_users_cannot_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        log_file(tmp_path).open()
    finally:
        os.umask(before)
    assert (tmp_path / "app.log").stat().st_mode & 0o777 == 0o640


def test_an_interrupted_line_is_complete_in_the_next_file(tmp_path: Path) -> None:
    """Write half a line, move the file away: the new file must have the whole line."""
    file = log_file(tmp_path)
    file.write(LINES.line(entry(1)))
    real = os.write
    calls: Iterator[int | OSError] = iter([40, OSError(errno.ENOSPC, "full")])

    def failing(fd: int, data: bytes) -> int:
        result = next(calls, None)
        if isinstance(result, OSError):
            raise result
        return real(fd, data[:result] if result else data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aliaport.logs.files.os.write", failing)
        with pytest.raises(OSError, match="full"):
            file.write(LINES.line(entry(2)) + LINES.line(entry(3)))
    assert file.pending
    (tmp_path / "app.log").rename(tmp_path / "app.log.1")
    file.reopen()
    file.write(b"")
    assert file.pending == 0
    lines = (tmp_path / "app.log").read_bytes().splitlines(keepends=True)
    assert [parsed(line)["aliaport.numbers.number"] for line in lines] == [2, 3]


@pytest.mark.service
def test_two_services_in_one_folder_are_refused(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from aliaport.logs.folder import lock_folder; "
        "lock_folder(Path(sys.argv[1])); print('locked', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(StartupError, match="another service writes its logs"):
            lock_folder(tmp_path)
    finally:
        other.kill()
        other.wait()
    lock = lock_folder(tmp_path)
    fcntl.lockf(lock, fcntl.LOCK_UN)
    os.close(lock)


def test_a_burst_of_fifty_thousand_events_is_written_completely(tmp_path: Path) -> None:
    writer = writer_of(log_file(tmp_path, rotate_bytes=10_000_000))
    for number in range(50_000):
        writer.put(entry(number))
    assert writer.flush(60)
    assert sum(writer.backlog.dropped.values()) == 0
    files = [*rotated_files(tmp_path), tmp_path / "app.log"]
    assert sorted(numbers(*files)) == list(range(50_000))


def test_many_threads_lose_and_repeat_nothing(tmp_path: Path) -> None:
    writer = writer_of(log_file(tmp_path, rotate_bytes=200_000))

    def put(thread: int) -> None:
        for number in range(2_000):
            writer.put(entry(thread * 2_000 + number))

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.flush(60)
    found = numbers(*rotated_files(tmp_path), tmp_path / "app.log")
    assert sorted(found) == list(range(16_000))


@pytest.mark.needs("root", "unshare")
def test_a_full_disk_blocks_nobody_and_loses_only_what_it_must(tmp_path: Path) -> None:
    story = json.loads(run_on_tmpfs(SUPPORT / "full_disk.py", tmp_path / "small", "16m"))
    assert story["fault"] == errno.ENOSPC
    assert story["max_s"] < 10, "a call that logs waited for the disk, which stays full"
    assert "No space left on device" in story["audit"]
    assert story["audited"] == ["log.opened", "before", "after"]
    assert {"before", "during", "after", "log.opened"} <= set(story["messages"])
    assert story["during"] == sorted(set(story["during"])), "each line once, in order"


@pytest.mark.needs("root", "unshare")
def test_a_read_only_folder_is_a_start_up_error_with_the_fix(tmp_path: Path) -> None:
    output = run_on_tmpfs(SUPPORT / "read_only.py", tmp_path / "small", "64k")
    assert "cannot be written: Read-only file system" in output
    assert "set ALIAPORT_LOG__FOLDER" in output


SCRIPT = """
import os, signal, sys
from pathlib import Path
from aliaport.logs import Logs
from aliaport.settings import LogSettings
logs = Logs(LogSettings(folder=Path(sys.argv[1])), {"service.name": "aliaport-api"})
logs.flush_at_exit()
log = logs.logger()
for number in range(3_000):
    log.info("counted", number=number)
"""


@pytest.mark.service
@pytest.mark.parametrize(
    ("end", "code"),
    [("sys.exit(3)", 3), ("raise RuntimeError('token=geheim123')", 1), ("pass", 0)],
)
def test_nothing_is_lost_however_the_interpreter_exits(tmp_path: Path, end: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT + end, str(tmp_path)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert numbers(tmp_path / "app.log") == list(range(3_000))
    if code == 1:
        crash = parsed((tmp_path / "error.log").read_bytes().splitlines(keepends=True)[1])
        assert crash["message"] == "service.crashed"
        assert crash["error.type"] == "RuntimeError"
        assert "geheim123" not in str(crash)


@pytest.mark.service
def test_after_sigkill_at_most_the_queue_is_lost(tmp_path: Path) -> None:
    end = "logs.flush(10); log.info('counted', number=-1); os.kill(os.getpid(), signal.SIGKILL)"
    done = subprocess.run([sys.executable, "-c", SCRIPT + end, str(tmp_path)], timeout=60)
    assert done.returncode == -9
    assert set(range(3_000)) <= set(numbers(tmp_path / "app.log"))


def test_the_writer_survives_its_own_errors(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    writer = writer_of(log_file(tmp_path))
    calls: queue.SimpleQueue[Callable[[], None]] = writer._wake  # type: ignore[assignment]  # noqa: SLF001
    calls.put(lambda: 1 / 0)  # type: ignore[arg-type]
    writer.put(entry(1))
    assert writer.flush(5)
    assert numbers(tmp_path / "app.log") == [1]
    assert "ZeroDivisionError" in capfd.readouterr().err
