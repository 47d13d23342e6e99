"""Compresses rotated log files, and deletes those that are too old, or together too large."""

import gzip
import os
import re
import shutil
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from aliaport.logs.writer import write_stderr
from aliaport.regular_files import open_regular

COMPRESS_AFTER = 3600.0
"""Seconds from the last write of a rotated file: until then, a shipper can read it as it is."""

CHECK_EVERY = 60.0
"""Seconds."""

ROTATED = re.compile(r"(?P<live>[a-z]+\.log)\.\d{8}T\d{6}Z-[0-9a-f]{8}(?P<compressed>\.gz)?")
_TEMPORARY = re.compile(r"\.[a-z]+\.log\.\d{8}T\d{6}Z-[0-9a-f]{8}\.gz")
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class RetentionLimits:
    """Limits on log files: days by live file, and bytes of all files together."""

    days: dict[str, int]
    max_bytes: int


@dataclass(frozen=True, slots=True)
class RotatedFile:
    """A rotated file: its path, its live file, the time of its last write, and its bytes."""

    path: Path
    live: str
    written: float
    size: int

    @property
    def compressed(self) -> bool:
        """True if the file is compressed."""
        return self.path.suffix == ".gz"


def expired(
    files: Iterable[RotatedFile], live_bytes: int, limits: RetentionLimits, now: float
) -> list[RotatedFile]:
    """Return the files to delete, oldest first, but never the newest of a live file.

    If all together are too large, those of the audit log are deleted last.
    """
    oldest_first = sorted(files, key=lambda file: file.written)
    newest = {file.live: file for file in oldest_first}.values()
    candidates = [file for file in oldest_first if file not in newest]
    gone = [file for file in candidates if now - file.written > limits.days[file.live] * _DAY]
    total = live_bytes + sum(file.size for file in oldest_first if file not in gone)
    for file in sorted(candidates, key=lambda file: file.live == "audit.log"):
        if total <= limits.max_bytes:
            break
        if file not in gone:
            gone.append(file)
            total -= file.size
    return gone


def rotated_files(folder: Path) -> list[RotatedFile]:
    """Return the rotated files of a folder."""
    files = []
    for path in folder.glob("*.log.*"):
        name = ROTATED.fullmatch(path.name)
        if name is None:
            continue
        try:
            stat = path.lstat()
        except FileNotFoundError:
            continue
        if not S_ISREG(stat.st_mode):
            continue
        files.append(RotatedFile(path, name["live"], stat.st_mtime, stat.st_size))
    return files


def compress(path: Path) -> None:
    """Replace a file by its compressed form, completely or not at all.

    Raises OSError.
    """
    target = path.with_name(f"{path.name}.gz")
    temporary = path.with_name(f".{path.name}.gz")
    new = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with (
        os.fdopen(open_regular(path, os.O_RDONLY), "rb") as plain,
        os.fdopen(open_regular(temporary, new), "wb") as compressed,
    ):
        written = os.fstat(plain.fileno())
        # Without name and time, two runs produce the same bytes.
        with gzip.GzipFile("", "wb", 6, compressed, mtime=0) as stream:
            shutil.copyfileobj(plain, stream, 1 << 20)
        compressed.flush()
        os.fchmod(compressed.fileno(), written.st_mode & 0o777)
        os.utime(compressed.fileno(), (written.st_atime, written.st_mtime))
    temporary.rename(target)
    path.unlink()


def tidy(folder: Path, limits: RetentionLimits, live: Sequence[str], now: float) -> None:
    """Compress and delete what is due at `now`; `live` names the files in use.

    Raises the last OSError, after everything else that is due is done.
    """
    problem: OSError | None = None
    for left in folder.glob(".*.log.*.gz"):
        if _TEMPORARY.fullmatch(left.name):
            left.unlink(missing_ok=True)
    for file in rotated_files(folder):
        if not file.compressed and now - file.written > COMPRESS_AFTER:
            try:
                compress(file.path)
            except OSError as error:
                problem = error
    in_use = [folder / name for name in live]
    live_bytes = sum(path.stat().st_size for path in in_use if path.exists())
    for file in expired(rotated_files(folder), live_bytes, limits, now):
        try:
            file.path.unlink(missing_ok=True)
        except OSError as error:
            problem = error
    if problem is not None:
        raise problem


class Retention:
    """Compresses and deletes the rotated files of a folder, in its own thread."""

    def __init__(self, folder: Path, limits: RetentionLimits, live: Sequence[str]) -> None:
        self._folder = folder
        self._limits = limits
        self._live = live
        self._awake = threading.Event()
        self._reported = ""
        threading.Thread(target=self._serve, name="log-retention", daemon=True).start()

    def wake(self) -> None:
        """Check soon, because a file was rotated."""
        self._awake.set()

    def _serve(self) -> None:
        while True:
            try:
                tidy(self._folder, self._limits, self._live, time.time())
            except OSError as error:
                where = error.filename or self._folder
                reason = f"cannot compress or delete logs: {where}: {error.strerror}"
                if reason != self._reported:
                    write_stderr(reason)
                self._reported = reason
            self._awake.wait(CHECK_EVERY)
            self._awake.clear()
