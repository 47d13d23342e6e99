"""Reads the usage of one mount from the kernel without touching any other mount."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage of one mount; sizes in bytes.

    `free_bytes` is available to users other than root. The percentages are None for file systems
    without a size (such as proc) or without inodes (such as btrfs).
    """

    size_bytes: int
    free_bytes: int
    used_percent: float | None
    inodes: int
    inodes_free: int
    inodes_percent: float | None
    read_only: bool
    filesystem: str


class Unusable(Exception):
    """The usage of the mount cannot be read; `code` becomes the probe's code."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


def measure(mount: str, mounts_file: Path = Path("/proc/self/mounts")) -> Usage:
    """Read the usage of `mount`. Blocks for as long as its file system hangs.

    Raises Unusable if the path is missing, unreadable, or just a folder on another mount.
    """
    try:
        path = os.path.realpath(mount, strict=True)
        stats = os.statvfs(path)
    except (FileNotFoundError, NotADirectoryError):
        raise Unusable("missing", f"{mount} does not exist") from None
    except OSError as error:
        raise Unusable("unreadable", f"{mount} cannot be read: {error.strerror}") from None
    entry = _entry(path, mounts_file)
    # In a chroot, the root folder need not be a mount point.
    if entry is None and path != "/":
        raise Unusable("not_mounted", f"nothing is mounted on {mount}")
    filesystem, options = entry or ("", frozenset())
    used = stats.f_blocks - stats.f_bfree
    return Usage(
        size_bytes=stats.f_blocks * stats.f_frsize,
        free_bytes=stats.f_bavail * stats.f_frsize,
        # Like df: blocks reserved for root count as neither used nor free.
        used_percent=_percent(used, used + stats.f_bavail),
        inodes=stats.f_files,
        inodes_free=stats.f_ffree,
        inodes_percent=_percent(stats.f_files - stats.f_ffree, stats.f_files),
        # Since Linux 6.15, an ext4 that shut down after an error shows this only in its mount
        # options: statvfs still reports it as writable.
        read_only=bool(stats.f_flag & os.ST_RDONLY) or "emergency_ro" in options,
        filesystem=filesystem,
    )


def _entry(path: str, mounts_file: Path) -> tuple[str, frozenset[str]] | None:
    """Return type and options of the file system mounted on `path`; None if none is mounted.

    Return ("", empty) if the table of mounts cannot be read. The kernel generates that file from
    its own tables, so a hung mount does not block reading it.
    """
    try:
        lines = mounts_file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return "", frozenset()
    found = None
    for line in lines:
        fields = line.split(" ")
        if len(fields) >= 4 and _unescaped(fields[1]) == path:
            # A later mount on the same point hides the earlier one.
            found = fields[2], frozenset(fields[3].split(","))
    return found


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole > 0 else None


def _unescaped(field: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), field)
