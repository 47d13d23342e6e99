"""Limits of the process that are too low, each reported in one line that says what to set."""

import errno
import resource

from aliaport.cgroup import own_cgroup, read_number
from aliaport.descriptors import raise_limit
from aliaport.errors import StartupError

MIN_FILES = 128
"""Descriptors: the service with all bundled plugins has 45 open before the first connection."""

MIN_ADDRESS_SPACE = 512 * 2**20
"""Bytes. With less, the imports or the first threads fail, or hang."""

ENOUGH_ADDRESS_SPACE = 2 * 2**30
"""Bytes: the service with all bundled plugins reserves 1.2 GB, of which it uses a tenth."""

ENOUGH_THREADS = 100
"""The service with all bundled plugins has about 20 threads."""


def check_limits() -> None:
    """Raise StartupError if a limit is so low that the service cannot start."""
    raise_limit()
    if _soft(resource.RLIMIT_NOFILE) < MIN_FILES:
        raise StartupError(_too_few_files())
    if _soft(resource.RLIMIT_AS) < MIN_ADDRESS_SPACE:
        raise StartupError(_too_little_address_space())


def limit_error(error: BaseException) -> StartupError | None:
    """Return the error that names the limit which caused `error`, or None if none did."""
    if isinstance(error, OSError) and error.errno == errno.EMFILE:
        return StartupError(_too_few_files())
    if isinstance(error, MemoryError) or "cannot allocate memory" in str(error).lower():
        return StartupError(_too_little_address_space())
    if isinstance(error, RuntimeError) and str(error) == "can't start new thread":
        return StartupError(f"cannot start another thread: {_thread_limit()}")
    return None


def _too_few_files() -> str:
    return (
        f"the limit of open files (`ulimit -n`) is {_soft(resource.RLIMIT_NOFILE)}; set it to "
        f"{MIN_FILES} or higher, better to 65536"
    )


def _too_little_address_space() -> str:
    limit = _soft(resource.RLIMIT_AS)
    if limit == _UNLIMITED:
        return "the memory is used up; give the machine or the container more"
    return (
        f"the limit of the address space (`ulimit -v`) is {limit // 1024} kB; remove it, or set "
        f"it to {ENOUGH_ADDRESS_SPACE // 1024} kB or higher"
    )


def _thread_limit() -> str:
    """Return which limit on threads is reached, and what to set."""
    cgroup = own_cgroup("pids")
    for level in cgroup.levels if cgroup else ():
        used, limit = read_number(level / "pids.current"), read_number(level / "pids.max")
        if used is not None and limit is not None and used >= limit:
            return (
                f"the limit on processes and threads of the cgroup ({level / 'pids.max'}, in "
                f"Docker `--pids-limit`) is {limit:.0f}; set it to {ENOUGH_THREADS} or higher"
            )
    if _soft(resource.RLIMIT_AS) != _UNLIMITED:
        return _too_little_address_space()
    user = _soft(resource.RLIMIT_NPROC)
    if user != _UNLIMITED:
        return (
            f"the limit on processes and threads of this user (`ulimit -u`) is {user}; set it to "
            f"{ENOUGH_THREADS} above what the user's other processes need"
        )
    return "the machine is out of threads or memory; see kernel.threads-max and kernel.pid_max"


_UNLIMITED = 2**64
"""More than any limit."""


def _soft(limit: int) -> int:
    soft, _ = resource.getrlimit(limit)
    return _UNLIMITED if soft == resource.RLIM_INFINITY else soft
