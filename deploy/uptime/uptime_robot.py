"""The client of `sync` for UptimeRobot's API, version 3.

Addresses, limits and field names come from its documentation and from other programs that use it.
It was never run against the real server.
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

MAX_WAIT = 120.0
"""Seconds to wait if the server requires it; a longer wait is an error."""

MAX_TRIES = 5
_MAX_PAGES = 100

_ADVICE = Advice(
    timeout="run it again",
    unreachable="check the network and the proxy",
    untrusted="check for a proxy that intercepts TLS",
)

Json = dict[str, Any]


@dataclass
class Robot:
    """A client of the API at `url` that sends at most `per_minute` requests a minute.

    `sleep` waits that many seconds; tests may replace it.
    """

    url: str
    key: str
    timeout: float = 30.0
    per_minute: int = 10
    context: ssl.SSLContext | None = None
    sleep: Callable[[float], None] = time.sleep
    _sent: deque[float] = field(default_factory=deque)

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
        """Return all monitors of the account."""
        return self._pages("monitors?limit=50")

    def contacts(self) -> list[Json]:
        """Return the alert contacts of the account."""
        return self._pages("user/alert-contacts")

    def create(self, body: Json) -> None:
        """Add a monitor."""
        self._request("POST", "monitors", body)

    def change(self, number: object, body: Json) -> None:
        """Change some fields of a monitor."""
        self._request("PATCH", f"monitors/{number}", body)

    def delete(self, number: object) -> None:
        """Remove a monitor with its history."""
        self._request("DELETE", f"monitors/{number}", None)

    def _pages(self, path: str) -> list[Json]:
        found: list[Json] = []
        for _ in range(_MAX_PAGES):
            page = self._request("GET", path, None)
            rows = page.get("data") if isinstance(page, dict) else page
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise ScriptError(
                    f"{self.url}/{path}: returned no list of objects; is it version 3?"
                )
            found += rows
            following = page.get("nextLink") if isinstance(page, dict) else None
            if not following:
                return found
            path = self._below(str(following))
        raise ScriptError(f"{self.url}: has more than {_MAX_PAGES} pages of monitors")

    def _below(self, link: str) -> str:
        """Return the path of a link to the next page; the key must not go to another server."""
        ours, theirs = urlsplit(self.url), urlsplit(link)
        base = f"{ours.path.rstrip('/')}/"
        if theirs.netloc not in ("", ours.netloc) or not theirs.path.startswith(base):
            raise ScriptError(f"{self.url}: its next page is on another server ({theirs.netloc})")
        return f"{theirs.path.removeprefix(base)}?{theirs.query}"

    def _request(self, method: str, path: str, body: Json | None) -> Any:
        for _ in range(MAX_TRIES):
            self._keep_the_pace()
            status, headers, raw = self._client.exchange(method, path, body)
            if status != 429:
                break
            wait = _seconds(headers.get("Retry-After"))
            if wait > MAX_WAIT:
                raise ScriptError(
                    f"{self.url}: requires a wait of {wait:g} s; run this again later"
                )
            self.sleep(wait)
        if status >= 300:
            raise ScriptError(
                f"{self.url}: {status} to {method} {path}: {reason(raw)}{_advice(status)}"
            )
        try:
            return json.loads(raw) if raw.strip() else {}
        except ValueError:
            raise ScriptError(f"{self.url}: {method} {path} did not return JSON") from None

    def _keep_the_pace(self) -> None:
        now = time.monotonic()
        while self._sent and now - self._sent[0] >= 60:
            self._sent.popleft()
        if len(self._sent) >= self.per_minute:
            self.sleep(60 - (now - self._sent.popleft()))
        self._sent.append(time.monotonic())


def _seconds(text: str | None) -> float:
    try:
        return max(1.0, float(text or ""))
    except ValueError:
        return 60.0


def _advice(status: int) -> str:
    return {
        401: "; is this the account's main API key?",
        403: "; the key is read-only, or the plan does not allow this",
        429: "; too many requests, run this again later",
    }.get(status, "")
