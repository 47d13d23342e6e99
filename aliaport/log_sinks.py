"""Where log lines go: each sink in a thread of its own, so that no disk or pipe holds a caller."""

import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from aliaport.errors import StartupError

QUEUE_LIMIT = 20_000
"""Most lines that wait for a slow disk; further ones are counted as lost."""

COMPLAIN_EVERY = 60.0
"""Seconds between two messages on standard error that a sink fails."""


class Sink:
    """Writes lines in a daemon thread. `lost` counts the lines that could not be written."""

    def __init__(self, name: str, write: Callable[[str], None]) -> None:
        self.name = name
        self.lost = 0
        self._write = write
        self._complained = float("-inf")
        self._lines: queue.SimpleQueue[str | Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name=f"log-{name}", daemon=True).start()

    def put(self, line: str) -> None:
        """Hand over one line; never waits."""
        if self._lines.qsize() >= QUEUE_LIMIT:
            self.lost += 1
            return
        self._lines.put(line)

    def call(self, function: Callable[[], None]) -> None:
        """Run `function` in the sink's thread, after the lines handed over before."""
        self._lines.put(function)

    def flush(self, seconds: float) -> bool:
        """Wait until all lines handed over are written; False if that takes longer."""
        done = threading.Event()
        self.call(done.set)
        return done.wait(seconds)

    def _serve(self) -> None:
        while True:
            item = self._lines.get()
            try:
                if isinstance(item, str):
                    self._write(item)
                else:
                    item()
            except (OSError, ValueError) as error:
                self.lost += isinstance(item, str)
                self._complain(error)

    def _complain(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self._complained < COMPLAIN_EVERY:
            return
        self._complained = now
        reason = getattr(error, "strerror", None) or str(error)
        message = f"aliaport: cannot write the log {self.name}: {reason}; {self.lost} lines lost\n"
        try:
            os.write(2, message.encode())
        except OSError:
            return


class FileSink(Sink):
    """Appends to one file, which `reopen` opens anew after somebody else moved it away."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd: int | None = self._open()
        except OSError as error:
            raise StartupError(
                f"the log file {path} cannot be written: {error.strerror}; make its "
                "folder writable for this user or set ALIAPORT_LOG__FOLDER"
            ) from None
        super().__init__(path.name, self._append)

    def reopen(self) -> None:
        """Open the file by its name again, in the sink's thread."""
        self.call(self._reopen)

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def _reopen(self) -> None:
        old, self._fd = self._fd, None
        if old is not None:
            os.close(old)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = self._open()

    def _append(self, line: str) -> None:
        if self._fd is None:
            self._reopen()
        assert self._fd is not None
        rest = memoryview((line + "\n").encode("utf-8", "replace"))
        while rest:
            rest = rest[os.write(self._fd, rest) :]


def stream_sink(stream: TextIO = sys.stdout) -> Sink:
    """A sink on standard output."""

    def write(line: str) -> None:
        stream.write(line + "\n")
        stream.flush()

    return Sink("standard output", write)
