"""One log file: appended to, rotated when full or a day old, created again after it was moved."""

import os
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from aliaport.regular_files import open_regular

OPENED = "log.opened"
OPENER_LENGTH = 1_100
"""Minimum bytes of a file's first line: more than Filebeat reads to identify a file (1,024)."""

Opener = Callable[[str, str], bytes]


class LogFile:
    """The file at `path`; use it in one thread. `opener(file_id, padding)` returns its first line.

    A failed write has accepted its lines if `pending` is not 0. Then call `write` without further
    lines until it succeeds, so that no line is torn, lost or written twice.
    """

    def __init__(self, path: Path, opener: Opener, rotate_bytes: int) -> None:
        self.path = path
        self._opener = opener
        self._rotate_bytes = rotate_bytes
        self._fd: int | None = None
        self._inode = (0, 0)
        self._size = 0
        self._size_before = 0
        self._day = ""
        self._lines = b""
        self._at = 0
        self._torn = False

    @property
    def pending(self) -> int:
        """Bytes that an interrupted write has accepted but not yet written."""
        return len(self._lines) - self._at

    def open(self) -> None:
        """Open the file, or create it. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd = open_regular(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o640)
        found = os.fstat(fd)
        self._fd, self._inode, self._size = fd, (found.st_dev, found.st_ino), found.st_size
        self._day = _day(found.st_mtime if found.st_size else time.time())
        # A process that was killed while writing may have left half a line.
        self._torn = bool(found.st_size) and os.pread(fd, 1, found.st_size - 1) != b"\n"

    def reopen(self) -> None:
        """Close the file, so that the next write opens the file that then has its name."""
        if self._fd is not None:
            os.close(self._fd)
        self._fd = None
        # If the old file has the beginning of a line, the new one gets the whole line.
        self._at = self._lines.rfind(b"\n", 0, self._at) + 1

    def write(self, lines: bytes) -> bool:
        """Append whole lines; return True if the file was rotated first. Raises OSError."""
        rotated = False
        if not self.pending:
            rotated = self._prepare(len(lines))
            before = self._first_line() if self._size == 0 else b"\n" if self._torn else b""
            self._torn = False
            self._lines, self._at, self._size_before = before + lines, 0, self._size
        if self._fd is None:
            self.open()
        assert self._fd is not None
        while self.pending:
            written = os.write(self._fd, memoryview(self._lines)[self._at :])
            self._at += written
            self._size += written
        return rotated

    def undo(self) -> None:
        """Remove what an interrupted write has written, so that none of its lines counts."""
        self._lines, self._at = b"", 0
        if self._fd is None:
            return
        try:
            os.ftruncate(self._fd, self._size_before)
            self._size = self._size_before
        except OSError:
            self._torn = True

    def sync(self) -> None:
        """Wait until everything is on the disk. Raises OSError."""
        if self._fd is not None:
            os.fsync(self._fd)

    def _prepare(self, more: int) -> bool:
        """Make sure that the file exists, is the one with this name, and has room."""
        if self._fd is not None and not self._is_ours():
            self.reopen()
        if self._fd is None:
            self.open()
        full = self._size > 2 * OPENER_LENGTH and self._size + more > self._rotate_bytes
        return (full or self._day < _day(time.time())) and self._rotate()

    def _is_ours(self) -> bool:
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == self._inode

    def _rotate(self) -> bool:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        name = f"{self.path.name}.{stamp}-{secrets.token_hex(4)}"
        try:
            self.path.rename(self.path.with_name(name))
        except OSError:  # in a read-only folder, a large file is better than none
            return False
        self.reopen()
        self.open()
        return True

    def _first_line(self) -> bytes:
        file_id = secrets.token_hex(16)
        bare = self._opener(file_id, "")
        return self._opener(file_id, "." * max(1, OPENER_LENGTH - len(bare)))


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
