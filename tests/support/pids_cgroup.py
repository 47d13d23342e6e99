"""Limits the number of threads of a service, with a cgroup of its own."""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from aliaport.cgroup import own_cgroup

_NUMBERS = itertools.count()


class PidsLimit:
    """A cgroup with a limit on processes and threads, of either version."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def wrapper(self) -> tuple[str, ...]:
        """A command that moves itself into the cgroup and executes its arguments."""
        return ("sh", "-c", f'echo $$ >{self._folder}/cgroup.procs; exec "$@"', "sh")

    def set(self, limit: int | None = None) -> None:
        """Set the limit, by default to what is used now."""
        if limit is None:
            limit = int((self._folder / "pids.current").read_text())
        (self._folder / "pids.max").write_text(str(limit))


@contextlib.contextmanager
def pids_limit(cannot_run: Callable[[str, str], NoReturn]) -> Iterator[PidsLimit]:
    """Create a cgroup until the block ends, in which nothing may run any more."""
    cgroup = own_cgroup("pids")
    folder = cgroup.levels[0] / f"test-{os.getpid()}-{next(_NUMBERS)}" if cgroup else Path()
    try:
        folder.mkdir()
    except OSError as error:
        cannot_run("a limit on threads", f"a cgroup for threads cannot be made: {error}")
    try:
        if not (folder / "pids.max").exists():
            cannot_run("a limit on threads", "the cgroup has no controller for threads")
        yield PidsLimit(folder)
    finally:
        folder.rmdir()
