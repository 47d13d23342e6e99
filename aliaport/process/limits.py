"""Limits of the process: the minima for a start, and which limit has caused an error."""

import errno
import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aliaport.cgroup import own_cgroup, read_lines, read_number
from aliaport.errors import StartupError
from aliaport.process.descriptors import raise_limit

MIN_FILES = 256
"""Descriptors: the service with all bundled plugins has 60 open before the first connection. It
needs 160, as connections leave `http.spare_descriptors` to plugins."""

ENOUGH_FILES = 65_536
"""Descriptors for any number of connections that the service accepts."""

ENOUGH_THREADS = 100
"""The service with all bundled plugins has 25 threads, and twice as many when they are busy."""

NEAR = 32
"""A limit that leaves fewer threads than these may have stopped one from starting.

When the reason is looked up, what the failed attempt had started has ended again.
"""

MIN_MEMORY = 512 * 2**20
"""Bytes of address space, and of its writable part, the data segment. The service with all bundled
plugins and the embedded database reserves 420 and 320 MB. With less, anything can fail, even in
libraries that then abort the process.
"""

ENOUGH_MEMORY = 2**30
"""Bytes that also suffice for the threads of a busy service, which reserve 8 MB each."""

_USUAL_STACK = 8 * 2**20
_UNLIMITED = 2**64


@dataclass(frozen=True, slots=True)
class _MemoryLimit:
    """A limit on memory; `used` is its line in /proc/self/status."""

    name: str
    resource: int
    used: str

    def problem(self) -> str:
        limit = _soft(self.resource)
        enough = max(ENOUGH_MEMORY, 2 * limit)
        return (
            f"{self.name} is {limit // 1024} kB; remove it, or set it to {enough // 1024} kB or "
            "higher"
        )

    def room(self) -> int:
        return _soft(self.resource) - 1024 * _own_status(self.used)


_MEMORY_LIMITS = (
    _MemoryLimit("the limit of the address space (`ulimit -v`)", resource.RLIMIT_AS, "VmSize"),
    _MemoryLimit("the limit of the data segment (`ulimit -d`)", resource.RLIMIT_DATA, "VmData"),
)


def check_limits() -> None:
    """Raise the limit of open files, and StartupError if the service cannot start with a limit."""
    raise_limit()
    files = _soft(resource.RLIMIT_NOFILE)
    if files < MIN_FILES:
        raise StartupError(
            f"the limit of open files (`ulimit -n`) is {files}; set it to {MIN_FILES} or higher, "
            f"better to {ENOUGH_FILES}"
        )
    for memory in _MEMORY_LIMITS:
        if _soft(memory.resource) < MIN_MEMORY:
            raise StartupError(memory.problem())


def limit_error(error: BaseException) -> StartupError | None:
    """Return the error that names the limit which caused `error`, or None if none did."""
    if isinstance(error, OSError) and error.errno == errno.EMFILE:
        files = _soft(resource.RLIMIT_NOFILE)
        return StartupError(
            f"the limit of open files (`ulimit -n`) is {files}, and all are open; set it to "
            f"{max(ENOUGH_FILES, 2 * files)} or higher"
        )
    if isinstance(error, OSError) and error.errno == errno.ENFILE:
        return StartupError("the machine has too many open files; raise its limit, fs.file-max")
    if isinstance(error, MemoryError) or "cannot allocate memory" in str(error).lower():
        return StartupError(_memory_problem())
    if isinstance(error, RuntimeError) and str(error) == "can't start new thread":
        return thread_limit_error("thread")
    return None


def thread_limit_error(what: str) -> StartupError:
    """Return the error for a thread or a process (`what`) that the system does not start."""
    room, problem = min(_thread_limits(), default=(NEAR, ""))
    if room >= NEAR:
        problem = (
            "the limit on processes and threads of the container (pids.max) or of the machine "
            f"(kernel.threads-max, kernel.pid_max) is reached; set it to {ENOUGH_THREADS} above "
            "what other processes need"
        )
    return StartupError(f"cannot start another {what}: {problem}")


def process_limit_problem(needed: int, uid: int) -> str:
    """Return which limit leaves the user fewer than `needed` processes, and what to set, or ''."""
    room, problem = min(_process_limits(uid), default=(needed, ""))
    return problem if room < needed else ""


def _thread_limits() -> Iterator[tuple[int, str]]:
    """Yield for each limit how many more threads it allows, and what to set."""
    yield from _process_limits(os.getuid())
    stack = _soft(resource.RLIMIT_STACK)
    for memory in _MEMORY_LIMITS:
        if _soft(memory.resource) != _UNLIMITED:
            yield (
                memory.room() // (_USUAL_STACK if stack == _UNLIMITED else stack),
                memory.problem(),
            )


def _process_limits(uid: int) -> Iterator[tuple[int, str]]:
    """Yield for each limit how many more threads and processes it allows, and what to set."""
    cgroup = own_cgroup("pids")
    for level in cgroup.levels if cgroup else ():
        used, limit = read_number(level / "pids.current"), read_number(level / "pids.max")
        if used is not None and limit is not None:
            yield (
                limit - used,
                f"the limit on processes and threads of the cgroup ({level / 'pids.max'}, in "
                f"Docker `--pids-limit`) is {limit}; set it to {max(ENOUGH_THREADS, 2 * limit)} "
                "or higher",
            )
    user = _soft(resource.RLIMIT_NPROC)
    if user != _UNLIMITED and uid != 0:  # the kernel does not apply it to root
        yield (
            user - _threads_of_user(uid),
            f"the limit on processes and threads of this user (`ulimit -u`) is {user}; set it to "
            f"{ENOUGH_THREADS} above what the user's other processes need",
        )


def _threads_of_user(uid: int) -> int:
    threads = 0
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            status = _status(process)
            if status.get("Uid", "").split()[:1] == [str(uid)]:
                threads += int(status["Threads"])
    return threads


def _memory_problem() -> str:
    limited = [memory for memory in _MEMORY_LIMITS if _soft(memory.resource) != _UNLIMITED]
    if not limited:
        return "the memory is used up; give the machine or the container more"
    return min(limited, key=_MemoryLimit.room).problem()


def _own_status(key: str) -> int:
    return int(_status(Path("/proc/self")).get(key, "0").split()[0])


def _status(process: Path) -> dict[str, str]:
    lines = (line.partition(":") for line in read_lines(process / "status"))
    return {key: value for key, _, value in lines}


def _soft(limit: int) -> int:
    soft, _ = resource.getrlimit(limit)
    return _UNLIMITED if soft == resource.RLIM_INFINITY else soft
