"""The audit log: an event is on disk before it is confirmed, or it is refused."""

import errno
import os
import threading
from pathlib import Path

import pytest

from aliaport.errors import AuditError
from tests.support.ecs import parsed
from tests.support.logs import audit_of, log_file


async def test_an_audit_event_is_on_disk_before_it_is_confirmed(tmp_path: Path) -> None:
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
        with pytest.raises(AuditError, match="No space left on device; free disk space"):
            audit.record("second")
    assert (tmp_path / "app.log").read_bytes() == before, "half a record is removed"
    assert writer.refused == 1
    audit.record("third")
    lines = (tmp_path / "app.log").read_bytes().splitlines(keepends=True)
    assert [parsed(line)["message"] for line in lines] == ["log.opened", "first", "third"]


async def test_an_event_is_refused_in_time_if_the_disk_stalls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aliaport.logs.audit.RECORD_TIMEOUT", 0.2)
    file = log_file(tmp_path)
    gate = threading.Event()
    write = file.write
    monkeypatch.setattr(file, "write", lambda lines: (gate.wait(30), write(lines))[1])
    audit, _ = audit_of(file)
    with pytest.raises(AuditError, match="the disk does not respond"):
        audit.record("first")
    with pytest.raises(AuditError, match="the disk does not respond"):
        await audit.arecord("second")
    gate.set()


def test_a_failed_reopening_stops_neither_the_thread_nor_the_log(tmp_path: Path) -> None:
    audit, writer = audit_of(log_file(tmp_path))

    def fail() -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    assert isinstance(writer.begin(fail).exception(5), OSError)
    audit.record("after")
    assert writer.recorded == 1
