"""Says whether files and folders can be created, and leaves nothing behind."""

import errno
import os
import tempfile
from pathlib import Path

from aliaport.regular_files import open_regular

_NO_UNNAMED_FILES = (errno.EOPNOTSUPP, errno.EISDIR)
"""Errors of file systems without O_TMPFILE, such as NFS."""


def check_appendable(path: Path) -> None:
    """Raise the OSError that appending to a file would raise, or creating it in its folder."""
    _check_folder(path.parent)
    try:
        os.close(open_regular(path, os.O_RDWR | os.O_APPEND))
    except FileNotFoundError:
        _check_creatable(path.parent)


def _check_folder(folder: Path) -> None:
    """Raise the OSError that creating a folder and its parents would raise, if it is missing."""
    if not folder.is_dir():
        _check_creatable(folder)


def _check_creatable(folder: Path) -> None:
    """Raise the OSError of the first thing to be created: the folder, a parent, or a file in it."""
    existing = folder
    while not os.path.lexists(existing):
        existing = existing.parent
    if not existing.is_dir():
        number = errno.EEXIST if existing == folder else errno.ENOTDIR
        raise OSError(number, os.strerror(number), str(existing))
    try:
        # A file without a name fails as one with a name would.
        os.close(os.open(existing, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as error:
        if error.errno not in _NO_UNNAMED_FILES:
            raise
        Path(tempfile.mkdtemp(dir=existing)).rmdir()
