"""The log files themselves: real files, real disks that fill up, real processes that are killed."""

import errno
import fcntl
import gzip
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from aliaport.errors import AuditError, StartupError
from aliaport.logs.audit import Audit, AuditWriter
from aliaport.logs.backlog import Backlog
from aliaport.logs.entries import Entry, Importance
from aliaport.logs.files import OPENER_LENGTH, LogFile
from aliaport.logs.health import LogHealth
from aliaport.logs.lines import LineFormat
from aliaport.logs.pipeline import _locked
from aliaport.logs.retention import ROTATED, Kept, Retention, Rotated, compress, expired
from aliaport.logs.writer import Writer, opener
from tests.support.ecs import parsed
from tests.support.postgres import until
from tests.support.tmpfs import run_on_tmpfs

SUPPORT = Path(__file__).with_name("support")
LINES = LineFormat("aliaport.app", {"service.name": "aliaport-api"})


def entry(number: int, level: str = "info", text: str = "") -> Entry:
    importance = {"debug": 0, "info": 2, "warning": 3, "error": 4}[level]
    fields = {"number": number, "text": text}
    return Entry(time.time_ns(), level, Importance(importance), "counted", fields, None)


def numbers(*paths: Path) -> list[int]:
    found = []
    for path in paths:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for line in data.splitlines(keepends=True):
            fields = parsed(line)
            if fields["message"] == "counted":
                found.append(fields["aliaport.numbers.number"])
    return found


def log_file(folder: Path, rotate_bytes: int = 1_000_000) -> LogFile:
    return LogFile(folder / "app.log", opener(LINES), rotate_bytes)


def writer_of(file: LogFile) -> Writer:
    return Writer(file, LINES, copy=None, rotated=lambda: None)


def rotated_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if ROTATED.fullmatch(path.name))


def test_every_file_begins_with_a_line_of_its_own_that_is_longer_than_a_fingerprint(
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


def test_a_new_day_is_a_new_file(tmp_path: Path) -> None:
    file = log_file(tmp_path)
    file.write(LINES.line(entry(1)))
    file.reopen()
    yesterday = time.time() - 86_400
    os.utime(tmp_path / "app.log", (yesterday, yesterday))
    assert file.write(LINES.line(entry(2))), "it was rotated"
    (old,) = rotated_files(tmp_path)
    assert (numbers(old), numbers(tmp_path / "app.log")) == ([1], [2])


def test_a_clock_that_steps_back_rotates_nothing(
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


def test_a_restart_goes_on_in_the_same_file_and_mends_a_torn_line(tmp_path: Path) -> None:
    file = log_file(tmp_path)
    file.write(LINES.line(entry(1)))
    with (tmp_path / "app.log").open("ab") as stream:
        stream.write(b'{"@timestamp":"2026-11-25T00:00:00Z","log.le')
    log_file(tmp_path).write(LINES.line(entry(2)))
    lines = (tmp_path / "app.log").read_bytes().splitlines(keepends=True)
    assert len(lines) == 4
    assert parsed(lines[3])["aliaport.numbers.number"] == 2, "only the torn line is spoilt"


@pytest.mark.parametrize("how", ["moved", "deleted", "folder", "replaced"])
def test_a_file_taken_away_is_made_anew_at_once(tmp_path: Path, how: str) -> None:
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


def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "app.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        log_file(tmp_path).open()


def test_an_interrupted_line_is_whole_in_the_next_file(tmp_path: Path) -> None:
    """The first half is on a file that is then moved away: the whole line stands in the new one."""
    file = log_file(tmp_path)
    file.write(LINES.line(entry(1)))
    real = os.write
    calls = iter([40, OSError(errno.ENOSPC, "full")])

    def failing(fd: int, data: memoryview) -> int:
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


def test_two_services_in_one_folder_are_refused(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from aliaport.logs.pipeline import _locked; "
        "_locked(Path(sys.argv[1])); print('locked', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(StartupError, match="another service writes its logs"):
            _locked(tmp_path)
    finally:
        other.kill()
        other.wait()
    lock = _locked(tmp_path)
    fcntl.lockf(lock, fcntl.LOCK_UN)
    os.close(lock)


def test_a_burst_of_fifty_thousand_events_is_written_whole(tmp_path: Path) -> None:
    writer = writer_of(log_file(tmp_path, rotate_bytes=10_000_000))
    for number in range(50_000):
        writer.put(entry(number))
    assert writer.flush(60)
    assert sum(writer.backlog.dropped.values()) == 0
    files = [*rotated_files(tmp_path), tmp_path / "app.log"]
    assert sorted(numbers(*files)) == list(range(50_000))


def test_many_threads_lose_and_double_nothing(tmp_path: Path) -> None:
    writer = writer_of(log_file(tmp_path, rotate_bytes=200_000))

    def put(thread: int) -> None:
        for number in range(2_000):
            writer.put(entry(thread * 2_000 + number))

    threads = [threading.Thread(target=put, args=(each,)) for each in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.flush(60)
    found = numbers(*rotated_files(tmp_path), tmp_path / "app.log")
    assert sorted(found) == list(range(16_000))


def test_a_full_backlog_drops_the_least_important_first() -> None:
    backlog = Backlog(lambda: None, limit=1_000)
    for number in range(300):
        backlog.put(entry(number, "error"))
    for number in range(300, 3_000):
        backlog.put(entry(number, "debug" if number % 2 else "info"))
    for number in range(3_000, 3_500):
        backlog.put(entry(number, "warning"))
    assert len(backlog) <= 1_000
    kept = backlog.take(2_000)
    levels = [each.level for each in kept]
    assert levels.count("error") == 300
    assert levels.count("warning") == 500
    assert levels.count("debug") == 0
    assert backlog.dropped["error"] == backlog.dropped["warning"] == 0
    assert sum(backlog.dropped.values()) + len(kept) == 3_500
    order = [each.fields["number"] for each in kept]
    assert order == sorted(order), "what is kept stays in its order"


def test_long_texts_are_bounded_by_their_weight() -> None:
    backlog = Backlog(lambda: None)
    for number in range(10_000):
        each = entry(number, text="x" * 8_000)
        each.weight = 8_000
        backlog.put(each)
    assert len(backlog) <= 8_000


def test_dropped_events_are_told_afterwards(tmp_path: Path) -> None:
    file = log_file(tmp_path)
    gate = threading.Event()
    write = file.write
    file.write = lambda lines: (gate.wait(30), write(lines))[1]  # type: ignore[method-assign]
    writer = writer_of(file)
    writer.backlog._limit = 100
    writer.put(entry(0))
    until(lambda: writer.state.busy_since is not None, "the disk stalls")
    began = time.monotonic()
    for number in range(1, 1_000):
        writer.put(entry(number))
    assert time.monotonic() - began < 5, "a stalled disk holds nobody"
    gate.set()
    assert writer.flush(10)
    lines = [parsed(line) for line in (tmp_path / "app.log").read_bytes().splitlines(keepends=True)]
    (told,) = [line for line in lines if line["message"] == "log.dropped"]
    dropped = sum(writer.backlog.dropped.values())
    assert told["aliaport.numbers.dropped"] == dropped > 0
    assert len(numbers(tmp_path / "app.log")) == 1_000 - dropped


def audit_of(file: LogFile) -> tuple[Audit, AuditWriter]:
    writer = AuditWriter(file, LINES, copy=None, rotated=lambda: None)
    return Audit(writer, {"plugin": "operations"}), writer


async def test_an_audit_event_is_on_the_disk_before_it_is_confirmed(tmp_path: Path) -> None:
    audit, writer = audit_of(log_file(tmp_path))
    audit.record("user.disabled", user="ayşe", password="geheim")
    text = (tmp_path / "app.log").read_text()
    await audit.arecord("user.enabled", outcome="failure", user="ayşe")
    lines = [parsed(line) for line in (tmp_path / "app.log").read_bytes().splitlines(keepends=True)]
    assert "user.disabled" in text
    assert "geheim" not in text
    assert [line["message"] for line in lines[1:]] == ["user.disabled", "user.enabled"]
    assert [line["event.outcome"] for line in lines[1:]] == ["success", "failure"]
    assert lines[1]["user.name"] == "ayşe"
    assert lines[1]["aliaport.plugin"] == "operations"
    assert writer.recorded == 2


def test_an_action_that_cannot_be_recorded_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = log_file(tmp_path)
    audit, writer = audit_of(file)
    audit.record("first")
    before = (tmp_path / "app.log").read_bytes()
    real, calls = os.write, iter([60])

    def failing(fd: int, data: memoryview) -> int:
        if (some := next(calls, None)) is not None:
            return real(fd, data[:some])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("aliaport.logs.files.os.write", failing)
        with pytest.raises(AuditError, match="No space left on device; make room"):
            audit.record("second")
    assert (tmp_path / "app.log").read_bytes() == before, "half a record is taken back"
    assert writer.refused == 1
    audit.record("third")
    lines = (tmp_path / "app.log").read_bytes().splitlines(keepends=True)
    assert [parsed(line)["message"] for line in lines] == ["log.opened", "first", "third"]


async def test_a_stalled_disk_refuses_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aliaport.logs.audit.RECORD_TIMEOUT", 0.2)
    file = log_file(tmp_path)
    gate = threading.Event()
    write = file.write
    monkeypatch.setattr(file, "write", lambda lines: (gate.wait(30), write(lines))[1])
    audit, _ = audit_of(file)
    with pytest.raises(AuditError, match="the disk does not answer"):
        audit.record("first")
    with pytest.raises(AuditError, match="the disk does not answer"):
        await audit.arecord("second")
    gate.set()


def rotated(name: str, days_old: float, size: int = 100, live: str = "app.log") -> Rotated:
    return Rotated(Path(name), live, 1e9 - days_old * 86_400, size)


KEPT = Kept({"app.log": 30, "api.log": 30, "audit.log": 90}, 1_000)


def test_retention_by_age_keeps_the_newest_and_the_audit_log_longer() -> None:
    files = [
        rotated("a", 40), rotated("b", 31), rotated("c", 29),
        rotated("d", 31, live="audit.log"), rotated("e", 100, live="audit.log"),
        rotated("f", 400, live="api.log"),
    ]  # fmt: skip
    gone = {str(each.path) for each in expired(files, 0, KEPT, 1e9)}
    assert gone == {"a", "b", "e"}


def test_retention_by_size_takes_the_oldest_and_the_audit_log_last() -> None:
    files = [
        *(rotated(f"app{age}", age, 300) for age in (1, 2, 3, 4)),
        *(rotated(f"audit{age}", age, 300, "audit.log") for age in (5, 6)),
    ]
    gone = [str(each.path) for each in expired(files, 200, KEPT, 1e9)]
    assert gone == ["app4", "app3", "app2", "audit6"]
    assert expired(files, 10**9, KEPT, 1e9)[-1].path.name == "audit6", (
        "the newest are never removed"
    )


def test_compression_keeps_content_time_and_mode_and_leaves_no_half(tmp_path: Path) -> None:
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
    kept = Kept({"app.log": 30, "audit.log": 90}, 10**9)
    Retention(tmp_path, kept, ("app.log", "audit.log")).tidy(now)
    until(lambda: not list(tmp_path.glob(".*")), "no half is left")
    names = sorted(path.name for path in tmp_path.iterdir())
    stamp = "20261125T101500Z"
    assert names == [
        f"app.log.{stamp}-00000001", f"app.log.{stamp}-00000064.gz", f"app.log.{stamp}-000007d0.gz",
        f"audit.log.{stamp}-00000001", f"audit.log.{stamp}-00000064.gz",
        f"audit.log.{stamp}-000007d0.gz", f"audit.log.{stamp}-00000fa0.gz", "somebody-else.log",
    ]  # fmt: skip


@pytest.mark.needs("root", "unshare")
def test_a_full_disk_holds_nobody_and_loses_what_it_must(tmp_path: Path) -> None:
    story = json.loads(run_on_tmpfs(SUPPORT / "full_disk.py", tmp_path / "small", "16m"))
    assert story["fault"] == errno.ENOSPC
    assert story["longest_s"] < 10
    assert "No space left on device" in story["audit"]
    assert story["audited"] == ["log.opened", "before", "after"]
    assert {"before", "during", "after", "log.opened"} <= set(story["messages"])
    assert story["during"] == sorted(set(story["during"])), "each line once, in its order"


@pytest.mark.needs("root", "unshare")
def test_a_folder_that_only_reads_is_a_start_up_error_with_the_way_out(tmp_path: Path) -> None:
    told = run_on_tmpfs(SUPPORT / "read_only.py", tmp_path / "small", "64k")
    assert "cannot be written: Read-only file system" in told
    assert "set ALIAPORT_LOG__FOLDER" in told


async def test_a_stuck_write_and_drops_are_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aliaport.logs.health.BLOCKED_AFTER", 0.1)
    file = log_file(tmp_path)
    gate = threading.Event()
    write = file.write
    monkeypatch.setattr(file, "write", lambda lines: (gate.wait(30), write(lines))[1])
    writer = writer_of(file)
    writer.backlog._limit = 10
    _, audit = audit_of(log_file(tmp_path / "audit"))
    logs = SimpleNamespace(writers={"app.log": writer}, audit_writer=audit, stream=None)
    health = LogHealth(logs)  # type: ignore[arg-type]
    assert (await health.check()).code == "ok"
    writer.put(entry(0))
    until(lambda: writer.state.busy_since is not None, "the write has begun")
    since = writer.state.busy_since
    until(lambda: since is not None and time.monotonic() - since > 0.1, "it takes long")
    check = await health.check()
    assert (check.status, check.code) == ("unhealthy", "blocked")
    assert health.figures()["aliaport_log_failing"] == {("app.log",): 1.0}
    for number in range(100):
        writer.put(entry(number))
    gate.set()
    assert writer.flush(10)
    check = await health.check()
    assert (check.status, check.code) == ("degraded", "dropping")
    assert check.data["dropped"] == sum(writer.backlog.dropped.values())


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


@pytest.mark.parametrize(
    ("end", "code"),
    [("sys.exit(3)", 3), ("raise RuntimeError('token=geheim123')", 1), ("pass", 0)],
)
def test_nothing_is_lost_however_the_interpreter_ends(tmp_path: Path, end: str, code: int) -> None:
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


def test_after_sigkill_at_most_the_queue_is_lost(tmp_path: Path) -> None:
    end = "logs.flush(10); log.info('counted', number=-1); os.kill(os.getpid(), signal.SIGKILL)"
    done = subprocess.run([sys.executable, "-c", SCRIPT + end, str(tmp_path)], timeout=60)
    assert done.returncode == -9
    assert set(range(3_000)) <= set(numbers(tmp_path / "app.log"))


def test_the_writer_survives_a_fault_of_its_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    writer = writer_of(log_file(tmp_path))
    calls: queue.SimpleQueue[Callable[[], None]] = writer._wake  # type: ignore[assignment]
    calls.put(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    writer.put(entry(1))
    assert writer.flush(5)
    assert numbers(tmp_path / "app.log") == [1]
    assert "ZeroDivisionError" in capfd.readouterr().err
