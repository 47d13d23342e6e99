"""The folder of the log files: one service writes there."""

import fcntl
import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from aliaport.errors import OccupiedError, StartupError
from aliaport.regular_files import open_regular
from aliaport.writable import check_appendable

LOCK = ".lock"

_FLOCK = "hhqqi4x"
"""The kernel's `struct flock` on 64-bit machines: type, whence, start, length, process."""


def lock_folder(folder: Path) -> int:
    """Keep other services out of the folder: two that rotate one file would lose lines.

    Return the descriptor that holds the lock. Raises StartupError.
    """
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open_regular(path, os.O_RDWR | os.O_CREAT, 0o640)
    except OSError as error:
        raise unwritable(path, error) from None
    try:
        # Unlike flock's, this lock is not shared with a process that a plugin forks.
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise _occupied(folder) from None
    return lock


def check_folder(folder: Path, names: Iterable[str]) -> None:
    """Raise the StartupError with which a service would refuse the folder; change nothing."""
    for path in (folder / LOCK, *(folder / name for name in names)):
        try:
            check_appendable(path)
        except OSError as error:
            raise unwritable(path, error) from None
    with suppress(FileNotFoundError):
        holder = _holder(folder / LOCK)
        if holder is not None:
            raise _occupied(folder, hidden=holder <= 0)


def unwritable(path: Path, error: OSError) -> StartupError:
    """Return the error of a log file that cannot be written."""
    reason = error.strerror
    if isinstance(error, FileExistsError | NotADirectoryError):
        reason = "a file is in the place of its folder"
    return StartupError(
        f"the log file {path} cannot be written: {reason}; make its folder writable for "
        "this user or set ALIAPORT_LOG__FOLDER"
    )


def _holder(path: Path) -> int | None:
    """Return the process that has the lock, without trying to get it; None if there is none.

    Processes of other containers have no number here: they are 0 or negative.
    """
    lock = open_regular(path, os.O_RDWR)
    try:
        wanted = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        found = fcntl.fcntl(lock, fcntl.F_GETLK, wanted)
        kind, *_, process = struct.unpack(_FLOCK, found)
        return None if kind == fcntl.F_UNLCK else process
    finally:
        os.close(lock)


def _occupied(folder: Path, *, hidden: bool = False) -> OccupiedError:
    return OccupiedError(
        f"another service writes its logs to {folder}; give each its own ALIAPORT_LOG__FOLDER",
        hidden=hidden,
    )
