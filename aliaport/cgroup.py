"""Finds the process's cgroups: version 1, version 2, and both in hybrid mode.

Part of the plugin API, for plugins that respect a container's limits. Standard library only.
Sources: cgroups(7), proc_pid_mountinfo(5), the kernel's admin-guide/cgroup-v2 and cgroup-v1 pages.
"""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The process's position in the cgroup hierarchy of one controller.

    `version` is 1 or 2. `mount` is where the hierarchy is mounted. `levels` are the process's own
    directory and then each parent up to `mount`: a limit on any of them applies to the process. A
    container sees only its own part of the hierarchy, so its `levels` may be `mount` alone.
    """

    version: int
    mount: Path
    levels: tuple[Path, ...]


def own_cgroup(controller: str, root: Path = Path("/")) -> Cgroup | None:
    """Return this process's cgroup for a controller such as `memory`, or None.

    In hybrid mode, the version that the controller is attached to wins. The directories need not
    exist, since the process may have been moved: read them with the functions of this module.
    `root` is the folder that holds `proc` and `sys`; tests pass recorded trees.
    """
    version, path = _membership(controller, root)
    if not version:
        return None
    mounts = _mounts(controller if version == 1 else None, root)
    if not mounts:
        return None
    # If a hierarchy is mounted several times, use the mount that shows most ancestors of our path.
    top, mount = min(mounts, key=lambda pair: (not _is_below(path, pair[0]), len(pair[0])))
    # A hierarchy mounted from outside the cgroup namespace does not show our path. Its mount point
    # is then the nearest directory known to apply.
    below = PurePosixPath(path).relative_to(top) if _is_below(path, top) else PurePosixPath()
    own = mount / below
    return Cgroup(version, mount, (own, *own.parents[: len(below.parts)]))


def read_text(path: Path) -> str:
    """Return the content of a kernel file, or "" if it is missing, unreadable or just vanished."""
    return _content(path).decode("utf-8", errors="replace")


def read_lines(path: Path) -> list[str]:
    """Return the lines of a kernel file; none if it is unreadable.

    They end at LF only: the kernel writes all other characters of a name as they are, also those
    that Python takes for the end of a line. Paths that are not UTF-8 are decoded as `os.fsdecode`
    does, so that they can be opened.
    """
    lines = _content(path).decode("utf-8", errors="surrogateescape").split("\n")
    return lines if lines[-1] else lines[:-1]


def read_number(path: Path) -> int | None:
    """Return the number in a kernel file, or None if it is unreadable or says `max`."""
    try:
        return int(read_text(path))
    except ValueError:
        return None


def read_table(path: Path) -> dict[str, int]:
    """Return the `key number` lines of a file such as `memory.stat`; empty if unreadable."""
    table: dict[str, int] = {}
    for line in read_lines(path):
        key, _, value = line.partition(" ")
        if value.strip().isdecimal():
            table[key] = int(value)
    return table


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _membership(controller: str, root: Path) -> tuple[int, str]:
    version, path = 0, ""
    for line in read_lines(root / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, where = rest.partition(":")
        if controller in controllers.split(","):
            return 1, where
        if not controllers and where:
            version, path = 2, where
    return version, path


def _mounts(controller: str | None, root: Path) -> list[tuple[str, Path]]:
    """Return (root, mount point) of each mount of a version 1 controller; None means version 2."""
    mounts = []
    for line in read_lines(root / "proc/self/mountinfo"):
        left, _, right = line.partition(" - ")
        fields, words = left.split(" "), right.split(" ")
        if len(fields) < 5 or len(words) < 2:
            continue
        kind, options = words[0], words[-1].split(",")
        if kind == "cgroup2" if controller is None else kind == "cgroup" and controller in options:
            top, point = (_unescape(field) for field in fields[3:5])
            mounts.append((top, root / point.lstrip("/")))
    return mounts


def _is_below(path: str, top: str) -> bool:
    parts = PurePosixPath(path)
    return ".." not in parts.parts and parts.is_relative_to(top)


def _unescape(field: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), field)
