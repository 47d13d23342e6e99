"""Opens files that somebody else may have prepared: regular files only."""

import errno
import os
import stat
from pathlib import Path


def open_regular(path: Path, flags: int, mode: int = 0o600, *, private: bool = False) -> int:
    """Open a file and return its descriptor, which child processes do not inherit.

    A symbolic link, a device or a FIFO is refused, and so is a file with a second name that
    another user may have made, to let us write to that file. With `private`, any file with a second
    name or of another user is refused. Raises OSError; its `strerror` says what to do.
    """
    try:
        # Without O_NONBLOCK, a FIFO would wait for its other end.
        fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, mode)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _refusal(path, "is a symbolic link") from None
        if error.errno == errno.ENXIO:
            raise _refusal(path, "is not a regular file") from None
        raise
    found = os.fstat(fd)
    problem = ""
    if not stat.S_ISREG(found.st_mode):
        problem = "is not a regular file"
    elif private and found.st_uid != os.geteuid():
        problem = "belongs to another user"
    elif found.st_nlink != 1 and (private or not _made_by_us(found, path.parent)):
        problem = "is a hard link to another file"
    if problem:
        os.close(fd)
        raise _refusal(path, problem)
    return fd


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Return the content of a file that is read again while the service runs.

    A link to a regular file is followed, as Kubernetes mounts secrets; a device or a FIFO is
    refused, because it could block the caller. Raises OSError, also for more than `max_bytes`.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(path))
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"is larger than {max_bytes:,} bytes", str(path))
    return content


def _made_by_us(found: os.stat_result, folder: Path) -> bool:
    """Return whether only this user or root can have made the names of a file of this user.

    These are backups that link files instead of copying them.
    """
    us = (os.geteuid(), 0)
    names = folder.stat()
    return found.st_uid in us and names.st_uid in us and not names.st_mode & 0o022


def _refusal(path: Path, problem: str) -> OSError:
    return OSError(errno.EINVAL, f"it {problem}; delete it", str(path))
