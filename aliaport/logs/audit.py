"""The audit log: an event is on the disk before the action that it records is confirmed."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from aliaport.correlation import REQUEST
from aliaport.errors import AuditError
from aliaport.logs.entries import Entry, Importance
from aliaport.logs.files import LogFile
from aliaport.logs.lines import LineFormat
from aliaport.logs.sanitize import sanitize
from aliaport.logs.writer import Copy

RECORD_TIMEOUT = 2.0
"""Seconds that an action waits for its record."""

MAX_AT_ONCE = 500

_CONSTANT = {"event.kind": "event", "event.category": "configuration", "event.type": "change"}
_REFUSED = "the action was refused because the audit log cannot record it"
_FIX = "free disk space or make the log folder writable, then try again"


class AuditWriter:
    """Writes the audit log in its own thread and waits for the disk; use it in any thread.

    `recorded` and `refused` count events, `last_write` is the wall-clock time of the last
    success in seconds.
    """

    def __init__(
        self, file: LogFile, lines: LineFormat, *, copy: Copy | None, rotated: Callable[[], None]
    ) -> None:
        self.recorded = 0
        self.refused = 0
        self.last_write: float | None = None
        self._file = file
        self._lines = lines
        self._copy = copy
        self._rotated = rotated
        self._waiting: queue.SimpleQueue[tuple[Entry | Callable[[], None], Future[None]]]
        self._waiting = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="log-audit", daemon=True).start()

    def begin(self, entry: Entry | Callable[[], None]) -> "Future[None]":
        """Queue an event; the future completes with its write, or fails with its OSError.

        A function is called in turn, between two events.
        """
        future: Future[None] = Future()
        # A caller that stops waiting must not cancel what the thread is about to settle.
        future.set_running_or_notify_cancel()
        self._waiting.put((entry, future))
        return future

    def reopen(self) -> None:
        """Reopen the file by its name, after everything queued before is written."""
        self.begin(self._file.reopen)

    def flush(self, seconds: float) -> bool:
        """Wait until everything queued is written or refused; return False if that takes longer."""
        try:
            self.begin(lambda: None).exception(seconds)
        except FutureTimeoutError:
            return False
        return True

    def _serve(self) -> None:
        while True:
            batch = [self._waiting.get()]
            while len(batch) < MAX_AT_ONCE and not self._waiting.empty():
                batch.append(self._waiting.get())
            entries = [(entry, future) for entry, future in batch if isinstance(entry, Entry)]
            if entries:
                self._write(entries)
            for call, future in batch:
                if not isinstance(call, Entry):
                    _settle(future, call)

    def _write(self, entries: "list[tuple[Entry, Future[None]]]") -> None:
        lines = [self._lines.line(entry) for entry, _ in entries]
        try:
            if self._file.write(b"".join(lines)):
                self._rotated()
            self._file.sync()
        except OSError as error:
            self._file.undo()
            self.refused += len(entries)
            for _, future in entries:
                future.set_exception(error)
            return
        self.recorded += len(entries)
        self.last_write = time.time()
        for _, future in entries:
            future.set_result(None)
        if self._copy is not None:
            for (entry, _), line in zip(entries, lines, strict=True):
                self._copy(entry, line)


def _settle(future: "Future[None]", call: Callable[[], None]) -> None:
    try:
        call()
    except OSError as error:
        future.set_exception(error)
    else:
        future.set_result(None)


class Audit:
    """The host's `aliaport.plugin.Audit`; every record carries its own `fields`."""

    def __init__(self, writer: AuditWriter, fields: Mapping[str, Any]) -> None:
        self._writer = writer
        self._fields = fields

    def record(self, action: str, /, **fields: Any) -> None:
        """Record an action and wait for the disk; see `aliaport.plugin.Audit`."""
        try:
            self._begin(action, fields).result(RECORD_TIMEOUT)
        except FutureTimeoutError:
            raise _timed_out() from None
        except OSError as error:
            raise _failed(error) from None

    async def arecord(self, action: str, /, **fields: Any) -> None:
        """Record as `record` does, for code on an event loop."""
        work = asyncio.wrap_future(self._begin(action, fields))
        done, _ = await asyncio.wait({work}, timeout=RECORD_TIMEOUT)
        if not done:
            raise _timed_out()
        if isinstance(error := work.exception(), OSError):
            raise _failed(error)

    def _begin(self, action: str, fields: dict[str, Any]) -> "Future[None]":
        sanitize(fields)
        fields = {**_CONSTANT, "outcome": "success", **self._fields, **fields}
        return self._writer.begin(
            Entry(time.time_ns(), "info", Importance.INFO, action, fields, REQUEST.get())
        )


def _timed_out() -> AuditError:
    return AuditError(f"{_REFUSED}: the disk does not respond; {_FIX}")


def _failed(error: OSError) -> AuditError:
    return AuditError(f"{_REFUSED}: {error.strerror}; {_FIX}")
