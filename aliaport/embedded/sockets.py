"""The address of the embedded server: where a new one listens, and where a running one does."""

import hashlib
import os
import re
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from aliaport.embedded.roles import DATABASE, ROLE
from aliaport.errors import StartupError
from aliaport.regular_files import read_regular

PORT = 5432
"""Part of the name of the socket; nothing listens on a port."""

PATH_LIMIT = 90
"""Bytes: the kernel's limit is 107, and the server appends the name of the socket."""

PID_FILE_LIMIT = 10_000
"""Bytes."""

_PLAIN = re.compile(r"[A-Za-z0-9/._-]+")


@dataclass(frozen=True, slots=True)
class Address:
    """The folder of a server's socket, and the number in the socket's name."""

    folder: Path
    port: int = PORT

    @property
    def socket(self) -> Path:
        """The socket itself."""
        return self.folder / f".s.PGSQL.{self.port}"

    @property
    def lock(self) -> Path:
        """The file with which the server keeps others from the socket."""
        return self.socket.with_name(f"{self.socket.name}.lock")

    @property
    def arguments(self) -> tuple[str, ...]:
        """The options of PostgreSQL's programs that connect to it."""
        return "-h", str(self.folder), "-p", str(self.port)

    @property
    def url(self) -> str:
        """The service's database at this address."""
        return f"postgresql://{ROLE}@/{DATABASE}?host={quote(str(self.folder))}&port={self.port}"


def new_address(folder: Path, uid: int) -> Address:
    """Return where a new server of a folder listens; the folder of its socket may be missing."""
    sockets = folder / "sockets"
    # pg_ctl passes its options to a shell, and PostgreSQL splits this one at commas.
    if len(os.fsencode(sockets)) > PATH_LIMIT or not _PLAIN.fullmatch(str(sockets)):
        name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
        sockets = Path(tempfile.gettempdir()) / f"aliaport-{uid}-{name}"
    return Address(sockets)


def running_address(folder: Path, data: Path, uid: int) -> Address | None:
    """Return the address of the server of a folder if its socket can be seen from here.

    It is where the server says or, if the folder has been moved, where a new one would listen. The
    two differ also if this process has another folder for temporary files.
    """
    for address in (_recorded_address(data), new_address(folder, uid)):
        if address and _is_private(address.folder, uid) and address.socket.exists():
            return address
    return None


def recorded_leader(data: Path) -> int | None:
    """Return the process ID that the server has recorded, or None."""
    try:
        return int(_pid_file(data)[0])
    except (IndexError, ValueError):
        return None


def require_private(folder: Path, uid: int) -> None:
    """Raise StartupError if the folder is not that of the user alone, or is a link."""
    if not _is_private(folder, uid):
        raise StartupError(
            f"{folder} is not a private folder of the user with the ID {uid}; delete it"
        )


def _recorded_address(data: Path) -> Address | None:
    lines = _pid_file(data)
    try:
        return Address(data / lines[4].strip(), int(lines[3]))
    except (IndexError, ValueError):
        return None


def _is_private(folder: Path, uid: int) -> bool:
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077 and found.st_uid == uid


def _pid_file(data: Path) -> list[str]:
    try:
        content = read_regular(data / "postmaster.pid", PID_FILE_LIMIT)
    except OSError:
        return []
    return os.fsdecode(content).split("\n")
