"""The backlog: bounded, drops the least important events first, and reports them afterwards."""

import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from aliaport.logs.backlog import Backlog
from aliaport.logs.health import LogHealth
from aliaport.logs.writer import WriterState
from tests.support.ecs import parsed
from tests.support.logs import audit_of, entry, log_file, numbers, writer_of
from tests.support.waiting import wait_until


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
    levels = [event.level for event in kept]
    assert levels.count("error") == 300
    assert levels.count("warning") == 500
    assert levels.count("debug") == 0
    assert backlog.dropped["error"] == backlog.dropped["warning"] == 0
    assert sum(backlog.dropped.values()) + len(kept) == 3_500
    order = [event.fields["number"] for event in kept]
    assert order == sorted(order), "the kept events stay in order"


def test_long_texts_are_bounded_by_their_weight() -> None:
    backlog = Backlog(lambda: None)
    for number in range(10_000):
        event = entry(number, text="x" * 8_000)
        event.weight = 8_000
        backlog.put(event)
    assert len(backlog) <= 8_000


def test_dropped_events_are_reported_afterwards(tmp_path: Path) -> None:
    file = log_file(tmp_path)
    gate = threading.Event()
    write = file.write
    file.write = lambda lines: (gate.wait(30), write(lines))[1]  # type: ignore[method-assign]
    writer = writer_of(file)
    writer.backlog.limit = 100
    writer.put(entry(0))
    wait_until(lambda: writer.state.busy_since is not None, "the disk stalls")
    for number in range(1, 1_000):
        writer.put(entry(number))
    assert writer.state.busy_since is not None, "all events were queued while the disk stalled"
    gate.set()
    assert writer.flush(10)
    lines = [parsed(line) for line in (tmp_path / "app.log").read_bytes().splitlines(keepends=True)]
    (report,) = [line for line in lines if line["message"] == "log.dropped"]
    dropped = sum(writer.backlog.dropped.values())
    assert report["aliaport.numbers.dropped"] == dropped > 0
    assert len(numbers(tmp_path / "app.log")) == 1_000 - dropped


async def test_a_stuck_write_and_drops_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aliaport.logs.health.BLOCKED_AFTER", 0.1)
    file = log_file(tmp_path)
    gate = threading.Event()
    write = file.write
    monkeypatch.setattr(file, "write", lambda lines: (gate.wait(30), write(lines))[1])
    writer = writer_of(file)
    writer.backlog.limit = 10
    _, audit = audit_of(log_file(tmp_path / "audit"))
    logs = SimpleNamespace(writers={"app.log": writer}, audit_writer=audit, stream=None)
    health = LogHealth(logs)  # type: ignore[arg-type]
    assert (await health.check()).code == "ok"
    writer.put(entry(0))
    wait_until(lambda: writer.state.busy_since is not None, "the write has begun")
    since = writer.state.busy_since
    wait_until(lambda: since is not None and time.monotonic() - since > 0.1, "the write takes long")
    check = await health.check()
    assert (check.status, check.code) == ("unhealthy", "blocked")
    assert health.samples()["aliaport_log_failing"] == {("app.log",): 1.0}
    for number in range(100):
        writer.put(entry(number))
    gate.set()
    assert writer.flush(10)
    check = await health.check()
    assert (check.status, check.code) == ("degraded", "dropping")
    assert check.data["dropped"] == sum(writer.backlog.dropped.values())


class EndingWrite(WriterState):
    """The state during a write that ends as soon as somebody has looked."""

    _looked = False

    @property
    def busy_since(self) -> float | None:
        first, self._looked = not self._looked, True
        return time.monotonic() if first else None

    @busy_since.setter
    def busy_since(self, _value: float | None) -> None:
        self._looked = False


def test_a_write_that_ends_meanwhile_is_not_stuck(tmp_path: Path) -> None:
    writer = writer_of(log_file(tmp_path))
    writer.state = EndingWrite()
    _, audit = audit_of(log_file(tmp_path / "audit"))
    logs = SimpleNamespace(writers={"app.log": writer}, audit_writer=audit, stream=None)
    samples = LogHealth(logs).samples()  # type: ignore[arg-type]
    assert samples["aliaport_log_failing"] == {("app.log",): 0.0}
