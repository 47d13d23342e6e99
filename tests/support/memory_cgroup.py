"""A cgroup that limits the memory of a process, of either version of cgroups (root)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

V1 = Path("/sys/fs/cgroup/memory")
V2 = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class MemoryCgroup:
    """The cgroup; put `within` before a command line to run the command in it."""

    folder: Path

    @property
    def within(self) -> tuple[str, ...]:
        join = f'echo $$ > {self.folder / "cgroup.procs"} && exec "$@"'
        return ("sh", "-c", join, "sh")

    @property
    def killed(self) -> int:
        """Return how many processes the kernel has killed for lack of memory."""
        name = "memory.oom_control" if V1.exists() else "memory.events"
        lines = (self.folder / name).read_text().split("\n")
        return int(next(line.split()[1] for line in lines if line.startswith("oom_kill ")))


def can_limit_memory() -> bool:
    """Return whether this process may create such a cgroup."""
    if V1.exists():
        return os.access(V1, os.W_OK)
    controllers = V2 / "cgroup.subtree_control"
    return os.access(V2, os.W_OK) and "memory" in controllers.read_text().split()


@contextmanager
def memory_cgroup(limit: int) -> Iterator[MemoryCgroup]:
    """Create a cgroup with `limit` bytes; its processes must have ended when the block ends."""
    folder = (V1 if V1.exists() else V2) / f"aliaport-tests-{os.getpid()}"
    folder.mkdir()
    try:
        name = "memory.limit_in_bytes" if V1.exists() else "memory.max"
        (folder / name).write_text(str(limit))
        yield MemoryCgroup(folder)
    finally:
        folder.rmdir()
