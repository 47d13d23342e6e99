"""Who may see summaries, further data and reasons: everybody, the bearer of a token, or nobody."""

import hmac
import time
from pathlib import Path

from aiohttp import web

from aliaport.forwarded import client_address
from aliaport.plugin import Logger
from aliaport.settings import Settings

REREAD_EVERY = 1.0
"""Seconds between two looks whether the token file has changed."""

REFUSED_LOG_EVERY = 60.0


class OperatorAuth:
    """Decides by the environment and the bearer tokens. Use it on the HTTP loop only."""

    def __init__(self, settings: Settings, log: Logger) -> None:
        self._open = settings.open
        self._tokens = [each.get_secret_value().encode() for each in settings.status_token]
        self._file = settings.status_token_file
        self._proxies = settings.trusted_proxies
        self._log = log
        self._file_tokens: list[bytes] = []
        self._looked = float("-inf")
        self._changed: tuple[int, int] | None = None
        self._refused_logged = float("-inf")

    def is_operator(self, request: web.Request) -> bool:
        """Whether the caller may see everything."""
        if self._open:
            return True
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return False
        given = token.strip().encode("utf-8", "replace")
        known = False
        for each in (*self._tokens, *self._read_file()):
            known |= hmac.compare_digest(each, given)
        if not known and time.monotonic() - self._refused_logged > REFUSED_LOG_EVERY:
            self._refused_logged = time.monotonic()
            client = client_address(request.remote, request.headers, self._proxies)
            self._log.warning("status_token.refused", client=client)
        return known

    def _read_file(self) -> list[bytes]:
        if self._file is None or time.monotonic() - self._looked < REREAD_EVERY:
            return self._file_tokens
        self._looked = time.monotonic()
        try:
            stat = self._file.stat()
            if (stat.st_mtime_ns, stat.st_ino) != self._changed:
                self._changed = stat.st_mtime_ns, stat.st_ino
                self._file_tokens = _tokens(self._file)
        except OSError as error:
            self._log.error("status_token.unreadable", file=str(self._file), reason=error.strerror)
        return self._file_tokens


def _tokens(file: Path) -> list[bytes]:
    return [line.strip().encode() for line in file.read_text("utf-8").splitlines() if line.strip()]
