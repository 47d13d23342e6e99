"""The file with the URL of the database, read again when it changes."""

import time
from pathlib import Path

from pydantic import SecretStr

from aliaport.plugin import Logger
from aliaport.regular_files import read_regular
from aliaport.settings.database_url import DatabaseUrl
from aliaport.settings.sources import ENCODING, PREFIX, Sources

REREAD_EVERY = 1.0
"""Seconds between two checks for a change."""

MAX_BYTES = 64 * 1024

_VARIABLE = f"{PREFIX}DATABASE_URL_FILE"


class DatabaseUrlFile:
    """The URL in a file, so that a new password takes effect without a restart.

    A file that is missing, unreadable or not valid at the moment changes nothing: the last valid
    URL stays. Any thread may use it.
    """

    def __init__(self, path: Path, url: SecretStr) -> None:
        self._path = path
        self._url = url
        self._version: tuple[int, ...] | None = None
        self._checked = float("-inf")
        self._problem = ""

    def current(self, log: Logger) -> SecretStr:
        """Return the URL; log once why a changed file cannot be used."""
        now = time.monotonic()
        if now - self._checked < REREAD_EVERY:
            return self._url
        self._checked = now
        problem = ""
        try:
            stat = self._path.stat()
            # The mode and the owner, which may make it readable, only change the last one.
            version = stat.st_mtime_ns, stat.st_ino, stat.st_size, stat.st_ctime_ns
            if version != self._version:
                self._url = self._read()
                self._version = version
        except OSError as error:
            problem = error.strerror or type(error).__name__
        except ValueError as error:
            problem = str(error)
        if problem and problem != self._problem:
            log.error("database.url_unreadable", file=str(self._path), reason=problem)
        self._problem = problem
        return self._url

    def _read(self) -> SecretStr:
        try:
            text = read_regular(self._path, MAX_BYTES).decode(ENCODING).strip()
        except UnicodeDecodeError:
            raise ValueError("is not UTF-8 text") from None
        DatabaseUrl.parse(text).resolved()
        return SecretStr(text)


def database_url_file(sources: Sources, url: SecretStr | None) -> DatabaseUrlFile | None:
    """Return the file that the configured URL was read from, if it was."""
    path = sources.variables.get(_VARIABLE)
    return DatabaseUrlFile(Path(path), url) if path and url is not None else None
