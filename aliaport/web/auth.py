"""Decides who sees summaries, further data and reasons: everyone, holders of a token, or no one."""

import hmac
import time

from aiohttp import web

from aliaport.forwarded import client_address
from aliaport.plugin import Logger
from aliaport.settings import Settings
from aliaport.settings.tokens import read_token_file

REREAD_EVERY = 1.0
"""Seconds between two checks for a change of the token file."""

REFUSED_LOG_EVERY = 60.0


class OperatorAuth:
    """Recognizes operators by environment and bearer token. Use it on the HTTP loop only."""

    def __init__(self, settings: Settings, log: Logger) -> None:
        self._open = settings.open
        self._tokens = [token.get_secret_value().encode() for token in settings.status_token]
        self._file = settings.status_token_file
        self._proxies = settings.trusted_proxies
        self._log = log
        self._file_tokens: list[bytes] = []
        self._checked = float("-inf")
        self._version: tuple[int, int, int] | None = None
        self._problem = ""
        self._refused_logged = float("-inf")

    def is_operator(self, request: web.Request) -> bool:
        """Return True if the caller may see everything."""
        if self._open:
            return True
        kind, _, credentials = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return False
        given = credentials.strip().encode("utf-8", "replace")
        known = False
        for token in (*self._tokens, *self._read_file()):
            known |= hmac.compare_digest(token, given)
        if not known and time.monotonic() - self._refused_logged > REFUSED_LOG_EVERY:
            self._refused_logged = time.monotonic()
            client = client_address(request.remote, request.headers, self._proxies)
            self._log.warning("status_token.refused", client=client)
        return known

    def _read_file(self) -> list[bytes]:
        if self._file is None or time.monotonic() - self._checked < REREAD_EVERY:
            return self._file_tokens
        self._checked = time.monotonic()
        problem = ""
        try:
            stat = self._file.stat()
            # The mode and the owner, which may make it readable, only change the last one.
            version = stat.st_mtime_ns, stat.st_ino, stat.st_ctime_ns
            if version == self._version:
                return self._file_tokens
            found = read_token_file(self._file)
            # A token that was removed ends at once, even if another line is wrong.
            self._file_tokens = [token.encode() for token in found.tokens]
            self._version = version
            problem = "; ".join(found.problems)
        except FileNotFoundError:
            self._file_tokens, self._version = [], None
            problem = f"{self._file}: does not exist, so its tokens are no longer valid"
        except OSError as error:
            problem = f"{self._file}: {error.strerror}"
        except ValueError as error:
            problem = str(error)
        if problem and problem != self._problem:
            self._log.error("status_token.unreadable", file=str(self._file), reason=problem)
        self._problem = problem
        return self._file_tokens
