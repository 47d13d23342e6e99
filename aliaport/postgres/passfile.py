"""The password file of libpq: why it gives no password. libpq and asyncpg ignore such a file."""

import os
import stat
from pathlib import Path

from aliaport.errors import AliaportError
from aliaport.regular_files import read_regular
from aliaport.settings.database_url import DatabaseUrl

MAX_FILE_BYTES = 1_000_000
"""Bytes: more than ten thousand lines."""

_FIELDS = "host:port:database:user:password"


class PasswordFileError(AliaportError):
    """The password file has a line that cannot be read; `advice` says what to change."""

    def __init__(self, text: str, advice: str) -> None:
        super().__init__(text)
        self.advice = advice


def check_passfile(url: DatabaseUrl) -> None:
    """Raise PasswordFileError if the file would be read, but has a line that cannot be."""
    file = _passfile(url)
    if url.password is not None or file is None or _ignored(file):
        return
    try:
        text = read_regular(file, MAX_FILE_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise PasswordFileError(f"{_name(url, file)}: {reason}", "correct the file") from None
    for number, line in enumerate(text.splitlines(), 1):
        content = line.strip()
        if content and not content.startswith("#") and _fields(content) < _FIELDS.count(":") + 1:
            raise PasswordFileError(
                f"{_name(url, file)}: line {number} is not of the form {_FIELDS}",
                "correct the file",
            )


def passfile_problem(url: DatabaseUrl) -> tuple[str, str] | None:
    """Return why the file does not give the right password, and what to change.

    Returns None if the URL has the password itself, or if there is no such file.
    """
    file = _passfile(url)
    if url.password is not None or file is None:
        return None
    name = _name(url, file)
    if ignored := _ignored(file):
        reason, advice = ignored
        return f"there is no password, since {name} {reason}", advice
    return (
        f"the server rejected the password of {name}, or no line of it matches",
        f"correct its line for {', '.join(url.places)}, database and user",
    )


def _passfile(url: DatabaseUrl) -> Path | None:
    if named := url.options.get("passfile"):
        return Path(named)
    try:
        usual = Path.home() / ".pgpass"
    except RuntimeError:  # no home folder
        return None
    return usual if usual.exists() else None


def _name(url: DatabaseUrl, file: Path) -> str:
    return f"passfile={file}" if "passfile" in url.options else str(file)


def _ignored(file: Path) -> tuple[str, str] | None:
    """Return why libpq ignores the file, and what to change; None if it reads the file."""
    correct = "correct the file, or passfile in DATABASE_URL (PGPASSFILE)"
    try:
        mode = file.stat().st_mode
    except OSError as error:
        return f"cannot be read ({error.strerror})", correct
    if not stat.S_ISREG(mode):
        return "is not a regular file", correct
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return f"has mode {stat.S_IMODE(mode):04o}: others may read it", f"chmod 600 {file}"
    if not os.access(file, os.R_OK):
        return "cannot be read (Permission denied)", correct
    return None


def _fields(line: str) -> int:
    """Return the number of fields; a backslash escapes a colon, and itself."""
    return line.replace(r"\\", "").replace(r"\:", "").count(":") + 1
