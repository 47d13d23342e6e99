"""What becomes of rotated files: compressed after a while, deleted when too old or too many."""

import gzip
import os
import re
import shutil
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aliaport.logs.writer import write_stderr

COMPRESS_AFTER = 3600.0
"""Seconds since a rotated file was last written: until then a shipper reads it as it is."""

LOOK_EVERY = 60.0

ROTATED = re.compile(r"(?P<live>[a-z]+\.log)\.\d{8}T\d{6}Z-[0-9a-f]{8}(?P<packed>\.gz)?")
_TEMPORARY = re.compile(r"\.[a-z]+\.log\.\d{8}T\d{6}Z-[0-9a-f]{8}\.gz")
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Kept:
    """How long the rotated files of each live file are kept (days), and all together (bytes)."""

    days: dict[str, int]
    most_bytes: int


@dataclass(frozen=True, slots=True)
class Rotated:
    """A rotated file: its path, the live file that it was, when it was last written, its bytes."""

    path: Path
    live: str
    written: float
    size: int

    @property
    def packed(self) -> bool:
        """Whether it is compressed."""
        return self.path.suffix == ".gz"


def expired(files: Iterable[Rotated], live_bytes: int, kept: Kept, now: float) -> list[Rotated]:
    """The files to delete, the oldest first; the newest of each live file is never among them.

    Where all together are too large, those of the audit log go last.
    """
    oldest_first = sorted(files, key=lambda each: each.written)
    newest = {each.live: each for each in oldest_first}.values()
    candidates = [each for each in oldest_first if each not in newest]
    gone = [each for each in candidates if now - each.written > kept.days[each.live] * _DAY]
    total = live_bytes + sum(each.size for each in oldest_first if each not in gone)
    for each in sorted(candidates, key=lambda file: file.live == "audit.log"):
        if total <= kept.most_bytes:
            break
        if each not in gone:
            gone.append(each)
            total -= each.size
    return gone


def found(folder: Path) -> list[Rotated]:
    """The rotated files of a folder."""
    files = []
    for path in folder.glob("*.log.*"):
        name = ROTATED.fullmatch(path.name)
        if name is None:
            continue
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue
        files.append(Rotated(path, name["live"], stat.st_mtime, stat.st_size))
    return files


def compress(path: Path) -> None:
    """Put the compressed file in the place of the plain one, complete or not at all.

    Raises OSError.
    """
    target = path.with_name(f"{path.name}.gz")
    temporary = path.with_name(f".{path.name}.gz")
    written = path.stat()
    with path.open("rb") as plain, temporary.open("wb") as packed:
        # Without name and time in it, two runs give the same bytes.
        with gzip.GzipFile("", "wb", 6, packed, mtime=0) as stream:
            shutil.copyfileobj(plain, stream, 1 << 20)
        packed.flush()
    temporary.chmod(written.st_mode & 0o777)
    os.utime(temporary, (written.st_atime, written.st_mtime))
    temporary.rename(target)
    path.unlink()


def tidy(folder: Path, kept: Kept, live: Sequence[str], now: float) -> None:
    """Compress and delete what is due at `now`; `live` names the files in use. Raises OSError."""
    for left in folder.glob(".*.log.*.gz"):
        if _TEMPORARY.fullmatch(left.name):
            left.unlink(missing_ok=True)
    for each in found(folder):
        if not each.packed and now - each.written > COMPRESS_AFTER:
            compress(each.path)
    in_use = [folder / name for name in live]
    live_bytes = sum(path.stat().st_size for path in in_use if path.exists())
    for each in expired(found(folder), live_bytes, kept, now):
        each.path.unlink(missing_ok=True)


class Retention:
    """Looks after the rotated files of a folder, in a thread of its own."""

    def __init__(self, folder: Path, kept: Kept, live: Sequence[str]) -> None:
        self._folder = folder
        self._kept = kept
        self._live = live
        self._look = threading.Event()
        self._complained = ""
        threading.Thread(target=self._serve, name="log-retention", daemon=True).start()

    def look(self) -> None:
        """Look soon, since a file was rotated."""
        self._look.set()

    def _serve(self) -> None:
        while True:
            try:
                tidy(self._folder, self._kept, self._live, time.time())
            except OSError as error:
                reason = f"cannot tidy up {self._folder}: {error.strerror}"
                if reason != self._complained:
                    write_stderr(reason)
                self._complained = reason
            self._look.wait(LOOK_EVERY)
            self._look.clear()
