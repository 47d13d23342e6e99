"""UptimeRobot's API of version 3, as `sync` asks it.

Addresses, limits and the names of the fields are those of its documentation and of other programs
that use it; the real server was never asked where this was written.
"""

import json
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from json_http import Advice, JsonClient, ScriptError, reason

LONGEST_WAIT = 120.0
"""Seconds that the server may ask to wait; longer is a problem to be told."""

MAX_TRIES = 5
_MAX_PAGES = 100

_ADVICE = Advice(
    timeout="run it again",
    unreachable="is there a way to it?",
    untrusted="is there something between here and it?",
)

Json = dict[str, Any]


@dataclass
class Robot:
    """Asks the API below `url` with `key`, at most `per_minute` times a minute.

    `sleep` waits so many seconds; a test may look at it.
    """

    url: str
    key: str
    timeout: float = 30.0
    per_minute: int = 10
    context: ssl.SSLContext | None = None
    sleep: Callable[[float], None] = time.sleep
    _asked: deque[float] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._client = JsonClient(
            name=self.url,
            url=self.url,
            authorization=f"Bearer {self.key}",
            advice=_ADVICE,
            timeout=self.timeout,
            context=self.context,
            headers={"Accept": "application/json"},
        )

    def monitors(self) -> list[Json]:
        """All monitors of the account."""
        return self._pages("monitors?limit=50")

    def contacts(self) -> list[Json]:
        """Whom it can tell."""
        return self._pages("user/alert-contacts")

    def create(self, body: Json) -> None:
        """Add a monitor."""
        self._ask("POST", "monitors", body)

    def change(self, number: object, body: Json) -> None:
        """Change some fields of a monitor."""
        self._ask("PATCH", f"monitors/{number}", body)

    def delete(self, number: object) -> None:
        """Remove a monitor with its history."""
        self._ask("DELETE", f"monitors/{number}", None)

    def _pages(self, path: str) -> list[Json]:
        found: list[Json] = []
        for _ in range(_MAX_PAGES):
            answer = self._ask("GET", path, None)
            rows = answer.get("data") if isinstance(answer, dict) else answer
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise ScriptError(
                    f"{self.url}/{path}: answers no list of objects; is it version 3?"
                )
            found += rows
            following = answer.get("nextLink") if isinstance(answer, dict) else None
            if not following:
                return found
            path = self._below(str(following))
        raise ScriptError(f"{self.url}: has more than {_MAX_PAGES} pages of monitors")

    def _below(self, link: str) -> str:
        """Of a link to the next page what follows our own address: the key goes nowhere else."""
        ours, theirs = urlsplit(self.url), urlsplit(link)
        base = f"{ours.path.rstrip('/')}/"
        if theirs.netloc not in ("", ours.netloc) or not theirs.path.startswith(base):
            raise ScriptError(f"{self.url}: its next page is at another place ({theirs.netloc})")
        return f"{theirs.path.removeprefix(base)}?{theirs.query}"

    def _ask(self, method: str, path: str, body: Json | None) -> Any:
        for _ in range(MAX_TRIES):
            self._keep_the_pace()
            status, headers, raw = self._client.exchange(method, path, body)
            if status != 429:
                break
            wait = _seconds(headers.get("Retry-After"))
            if wait > LONGEST_WAIT:
                raise ScriptError(f"{self.url}: wants {wait:g} s of patience; run this again later")
            self.sleep(wait)
        if status >= 300:
            raise ScriptError(
                f"{self.url}: {status} to {method} {path}: {reason(raw)}{_advice(status)}"
            )
        try:
            return json.loads(raw) if raw.strip() else {}
        except ValueError:
            raise ScriptError(f"{self.url}: answers no JSON to {method} {path}") from None

    def _keep_the_pace(self) -> None:
        now = time.monotonic()
        while self._asked and now - self._asked[0] >= 60:
            self._asked.popleft()
        if len(self._asked) >= self.per_minute:
            self.sleep(60 - (now - self._asked.popleft()))
        self._asked.append(time.monotonic())


def _seconds(text: str | None) -> float:
    try:
        return max(1.0, float(text or ""))
    except ValueError:
        return 60.0


def _advice(status: int) -> str:
    return {
        401: "; is this the account's main API key?",
        403: "; the key may only read, or the plan does not allow it",
        429: "; too many requests, run this again later",
    }.get(status, "")
