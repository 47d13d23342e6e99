"""What the kernel says about one mount, without touching any other."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Usage:
    """The figures of one mount; sizes in bytes.

    `free_bytes` is what a user other than root may still write. The shares are percent, and None
    for file systems without a size (such as proc) or without inodes (such as btrfs).
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
    """The mount has no figures; `code` is the reason that the probe answers."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


def measure(mount: str, mounts_file: Path = Path("/proc/self/mounts")) -> Usage:
    """Read the figures of `mount`. Blocks for as long as its file system hangs.

    Raises Unusable where the path is missing, unreadable, or a mere folder of another mount.
    """
    try:
        path = os.path.realpath(mount, strict=True)
        stats = os.statvfs(path)
    except (FileNotFoundError, NotADirectoryError):
        raise Unusable("missing", f"{mount} does not exist") from None
    except OSError as error:
        raise Unusable("unreadable", f"{mount} cannot be read: {error.strerror}") from None
    entry = _entry(path, mounts_file)
    # The root folder of a chroot need not be a mount point, and is never a forgotten mount.
    if entry is None and path != "/":
        raise Unusable("not_mounted", f"{mount} is a folder of another file system")
    filesystem, options = entry or ("", frozenset())
    used = stats.f_blocks - stats.f_bfree
    return Usage(
        size_bytes=stats.f_blocks * stats.f_frsize,
        free_bytes=stats.f_bavail * stats.f_frsize,
        # As df computes it: the blocks reserved for root count neither as used nor as free.
        used_percent=_percent(used, used + stats.f_bavail),
        inodes=stats.f_files,
        inodes_free=stats.f_ffree,
        inodes_percent=_percent(stats.f_files - stats.f_ffree, stats.f_files),
        # From Linux 6.15 an ext4 that gave up after an error says so in its mount options only:
        # statvfs still calls it writable.
        read_only=bool(stats.f_flag & os.ST_RDONLY) or "emergency_ro" in options,
        filesystem=filesystem,
    )


def _entry(path: str, mounts_file: Path) -> tuple[str, frozenset[str]] | None:
    """File system type and options of what is mounted on `path`; ("", empty) if nobody knows.

    The kernel writes this file from its own tables: a hung mount does not block the reading.
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
