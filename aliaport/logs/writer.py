"""Writes one file in batches in its own thread, so that a slow disk never blocks a caller."""

import errno
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from aliaport.logs.backlog import Backlog
from aliaport.logs.entries import Entry, Importance
from aliaport.logs.files import OPENED, LogFile
from aliaport.logs.lines import LineFormat
from aliaport.logs.requests import AnyEntry

GATHER = 0.02
"""Seconds to gather entries for one write: waking the thread for each would cost callers more."""

MAX_AT_ONCE = 2_000
RETRY_EVERY = 0.5
REPORT_EVERY = 60.0
"""Seconds between two attempts of a failing write, and between two messages on standard error."""

DROPPED = "log.dropped"

Copy = Callable[[AnyEntry, bytes], None]


@dataclass(slots=True)
class WriterState:
    """The state of a writer, for the probe and the metrics.

    `busy_since` is the monotonic time at which the current write began, `last_write` the wall-clock
    time of the last successful one (both in seconds, or None), `fault` the errno of a failing
    write, and `written` the number of entries by level.
    """

    busy_since: float | None = None
    last_write: float | None = None
    fault: int | None = None
    written: Counter[str] = field(default_factory=Counter)

    def busy_for(self) -> float:
        """Return the seconds that the current write has taken so far; 0 if there is none."""
        since = self.busy_since  # read once: the writer's thread changes it at any time
        return 0.0 if since is None else time.monotonic() - since


class Writer:
    """The writer of one file; call `put` in any thread.

    `copy(entry, line)` is called for each written entry, `rotated()` for each rotation.
    """

    def __init__(
        self, file: LogFile, lines: LineFormat, *, copy: Copy | None, rotated: Callable[[], None]
    ) -> None:
        self.name = file.path.name
        self.state = WriterState()
        self._file = file
        self._lines = lines
        self._copy = copy
        self._rotated = rotated
        self._wake: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self.backlog = Backlog(lambda: self._wake.put(None))
        self.put = self.backlog.put
        self._reported_drops = 0
        self._reported_at = float("-inf")
        self._hurry = threading.Event()
        threading.Thread(target=self._serve, name=f"log-{self.name}", daemon=True).start()

    def reopen(self) -> None:
        """Reopen the file by its name, after everything put before is written."""
        self._wake.put(self._reopen)

    def flush(self, seconds: float) -> bool:
        """Wait until everything put before is written; return False if that takes longer."""
        done = threading.Event()
        self._wake.put(done.set)
        self._hurry.set()
        try:
            return done.wait(seconds)
        finally:
            self._hurry.clear()

    def _reopen(self) -> None:
        self._file.reopen()
        self._file.open()

    def _serve(self) -> None:
        while True:
            call = self._next_call()
            if call is None:
                self._hurry.wait(GATHER)
            for step in (self._drain, call):
                try:
                    if step is not None:
                        step()
                except Exception as error:  # a bulkhead: one error must not end the log
                    self._report(f"{type(error).__name__}: {error}")

    def _next_call(self) -> Callable[[], None] | None:
        """Sleep until there are entries (return None) or a function to call after them."""
        if not self._wake.empty():
            return self._wake.get()
        self.backlog.asleep = True
        # An entry that was put just before did not wake this thread.
        call = None if len(self.backlog) else self._wake.get()
        self.backlog.asleep = False
        return call

    def _drain(self) -> None:
        while entries := self.backlog.take(MAX_AT_ONCE):
            self._report_dropped(entries)
            lines = [self._lines.line(entry) for entry in entries]
            self._write(b"".join(lines))
            self.state.written.update(entry.level for entry in entries)
            if self._copy is not None:
                for entry, line in zip(entries, lines, strict=True):
                    self._copy(entry, line)

    def _write(self, lines: bytes) -> None:
        """Write until it succeeds; meanwhile, the backlog fills up and drops entries."""
        state = self.state
        state.busy_since = time.monotonic()
        while True:
            try:
                if self._file.write(lines):
                    self._rotated()
                break
            except OSError as error:
                state.fault = error.errno or errno.EIO
                self._report(error.strerror or str(error))
                lines = b"" if self._file.pending else lines
                time.sleep(RETRY_EVERY)
        state.busy_since = state.fault = None
        state.last_write = time.time()

    def _report_dropped(self, entries: list[AnyEntry]) -> None:
        dropped = self.backlog.dropped
        if (total := sum(dropped.values())) > self._reported_drops:
            fields = {
                "dropped": total - self._reported_drops,
                "dropped_in_all": total,
                "file": self.name,
            }
            self._reported_drops = total
            hint = "the disk was full or too slow; the least important events were dropped first"
            entries.append(
                Entry(
                    time.time_ns(), "warning", Importance.WARNING, DROPPED,
                    {**fields, "hint": hint}, None,
                )
            )  # fmt: skip

    def _report(self, reason: str) -> None:
        now = time.monotonic()
        if now - self._reported_at < REPORT_EVERY:
            return
        self._reported_at = now
        write_stderr(f"cannot write the log {self.name}: {reason}; retrying")


def write_stderr(text: str) -> None:
    """Report a failure of the log on standard error, since the log cannot record it."""
    try:
        os.write(2, f"aliaport: {text}\n".encode("utf-8", "replace"))
    except OSError:
        return


def opener(lines: LineFormat) -> Callable[[str, str], bytes]:
    """Return the function that makes the first line of a file."""

    def first_line(file_id: str, padding: str) -> bytes:
        fields = {"aliaport.file_id": file_id, "aliaport.padding": padding}
        return lines.line(Entry(time.time_ns(), "info", Importance.INFO, OPENED, fields, None))

    return first_line
