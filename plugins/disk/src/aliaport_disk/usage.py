"""Reads the usage of one mount from the kernel without touching any other mount."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_ESCAPED = re.compile(r"\\([0-7]{3})")

_TOTALS = {
    "f_blocks": "f_blocks",
    "f_bfree": "f_blocks",
    "f_bavail": "f_blocks",
    "f_files": "f_files",
    "f_ffree": "f_files",
}
"""Fields of statvfs, and the total that each must not exceed.

Network and FUSE file systems do report more, or negative numbers, which are unsigned to the kernel.
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage of one mount; sizes in bytes.

    `free_bytes` is available to users other than root. The percentages are None for file systems
    without a size (such as proc) or without inodes (such as btrfs). A value is also None if the
    file system reports an impossible one, or one that it depends on; `impossible` has those, as
    reported.
    """

    size_bytes: int | None
    free_bytes: int | None
    used_percent: float | None
    inodes: int | None
    inodes_free: int | None
    inodes_percent: float | None
    read_only: bool
    filesystem: str
    impossible: tuple[str, ...] = ()


class Unusable(Exception):
    """The usage of the mount cannot be read; `code` becomes the probe's code."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


def shown(mount: str) -> str:
    """Return the path as valid Unicode, with bytes that are not UTF-8 as escapes."""
    return mount.encode("utf-8", "backslashreplace").decode()


def measure(mount: str, mounts_file: Path = Path("/proc/self/mounts")) -> Usage:
    """Read the usage of `mount`. Blocks for as long as its file system hangs.

    Raises Unusable if the path is missing, unreadable, or just a folder on another mount.
    """
    try:
        path = os.path.realpath(mount, strict=True)
        stats = os.statvfs(path)
    except (FileNotFoundError, NotADirectoryError):
        raise Unusable("missing", f"{shown(mount)} does not exist") from None
    except OSError as error:
        raise Unusable("unreadable", f"{shown(mount)} cannot be read: {error.strerror}") from None
    entry = _entry(path, mounts_file)
    # In a chroot, the root folder need not be a mount point.
    if entry is None and path != "/":
        raise Unusable("not_mounted", f"nothing is mounted on {shown(mount)}")
    filesystem, options = entry or ("", frozenset())
    reported = {field: getattr(stats, field) for field in (*_TOTALS, "f_frsize")}
    possible = _possible(reported)
    blocks, unused, available, inodes, inodes_free = map(possible.get, _TOTALS)
    used = None if blocks is None or unused is None else blocks - unused
    inodes_used = None if inodes is None or inodes_free is None else inodes - inodes_free
    block_size = possible.get("f_frsize")
    return Usage(
        size_bytes=_bytes(blocks, block_size),
        free_bytes=_bytes(available, block_size),
        # Like df: blocks reserved for root count as neither used nor free.
        used_percent=_percent(used, available),
        inodes=inodes,
        inodes_free=inodes_free,
        inodes_percent=_percent(inodes_used, inodes_free),
        # Since Linux 6.15, an ext4 that shut down after an error shows this only in its mount
        # options: statvfs still reports it as writable.
        read_only=bool(stats.f_flag & os.ST_RDONLY) or "emergency_ro" in options,
        filesystem=filesystem,
        impossible=tuple(
            f"{field}={value}" for field, value in reported.items() if field not in possible
        ),
    )


def mount_of(folder: Path, mounts_file: Path) -> str | None:
    """Return the mount point of the file system that holds `folder`, a path without links.

    Return None if the table of mounts cannot be read.
    """
    try:
        points = {point for point, *_ in _table(mounts_file)}
    except OSError:
        return None
    holding = (str(parent) for parent in (folder, *folder.parents) if str(parent) in points)
    return next(holding, "/")  # in a chroot, the root folder need not be a mount point


def _entry(path: str, mounts_file: Path) -> tuple[str, frozenset[str]] | None:
    """Return type and options of the file system mounted on `path`; None if none is mounted.

    Return ("", empty) if the table of mounts cannot be read. The kernel generates that file from
    its own tables, so a hung mount does not block reading it.
    """
    try:
        table = _table(mounts_file)
    except OSError:
        return "", frozenset()
    # A later mount on the same point hides the earlier one.
    return next(
        ((kind, options) for point, kind, options in reversed(table) if point == path), None
    )


def _table(mounts_file: Path) -> list[tuple[str, str, frozenset[str]]]:
    """Return mount point, type and options of each mount. Raises OSError."""
    table = mounts_file.read_bytes().decode("utf-8", errors="surrogateescape")
    # Only LF ends a line. The kernel writes other line breaks of Unicode in a name as they are.
    rows = (line.split(" ") for line in table.split("\n"))
    return [
        (_unescaped(row[1]), row[2], frozenset(row[3].split(","))) for row in rows if len(row) >= 4
    ]


def _possible(reported: Mapping[str, int]) -> dict[str, int]:
    """Return the values that a file system can have."""
    possible = {
        field: reported[field]
        for field, total in _TOTALS.items()
        if 0 <= reported[field] <= reported[total]
    }
    # The difference is reserved for root, so it cannot be negative.
    if "f_bfree" in possible and reported["f_bavail"] > possible["f_bfree"]:
        possible.pop("f_bavail", None)
    if reported["f_frsize"] > 0 or reported["f_blocks"] == 0:
        possible["f_frsize"] = reported["f_frsize"]
    return possible


def _bytes(blocks: int | None, block_size: int | None) -> int | None:
    return None if blocks is None or block_size is None else blocks * block_size


def _percent(used: int | None, free: int | None) -> float | None:
    if used is None or free is None or used + free == 0:
        return None
    return 100 * used / (used + free)


def _unescaped(field: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), field)
