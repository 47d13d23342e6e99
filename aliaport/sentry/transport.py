"""The SDK's transport, which sends in a thread; responses are bounded in size and in time."""

import io
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any

import structlog
from sentry_sdk.transport import HttpTransport

SEND_TIMEOUT = 5
"""Seconds to connect, and to send a request, in the SDK's own thread."""

RESPONSE_TIMEOUT = 10.0
"""Seconds for a whole response, however slowly it arrives."""

MAX_RESPONSE_BYTES = 64_000
"""Bytes to read of a response: Sentry's have less than 1,000."""

REPORT_EVERY = 300.0
"""Seconds between two log lines about events that could not be sent."""


class Transport(HttpTransport):
    """Sends envelopes, and counts those that are lost."""

    TIMEOUT = SEND_TIMEOUT

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self.lost = 0
        self._reported_at = float("-inf")
        self._report_lock = threading.Lock()

    def on_dropped_event(self, reason: str) -> None:
        """Count an envelope that the SDK gives up; called in any thread."""
        with self._report_lock:
            self.lost += 1
            now = time.monotonic()
            silent = now - self._reported_at < REPORT_EVERY
            if not silent:
                self._reported_at = now
        if not silent:
            structlog.get_logger().warning("sentry.lost", reason=reason, lost=self.lost)

    def _make_pool(self) -> Any:
        pool = super()._make_pool()
        pool.pool_classes_by_scheme = {
            scheme: _with_deadline(kind) for scheme, kind in pool.pool_classes_by_scheme.items()
        }
        return pool

    def _request(self, method: str, endpoint_type: Any, body: Any, headers: Any) -> Any:
        response = self._pool.request(
            method,
            self._auth.get_api_url(endpoint_type),
            body=body,
            headers=headers,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
        complete = False
        try:
            content = response.read(MAX_RESPONSE_BYTES, decode_content=False)
            complete = not response.read(1, decode_content=False)
        finally:
            if not complete:  # otherwise, urllib3 keeps the connection for the next request
                response.close()
        return _Received(response.status, response.headers, content)


@dataclass(frozen=True, slots=True)
class _Received:
    """The parts of a response that the SDK uses."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    def close(self) -> None:
        """Do nothing: the connection is already released."""


def _with_deadline(pool: Any) -> Any:
    """Return a subclass of a urllib3 pool whose connections bound the time of a response."""
    connection = type("Connection", (pool.ConnectionCls,), {"response_class": _Response})
    return type("Pool", (pool,), {"ConnectionCls": connection})


class _Response(HTTPResponse):
    def __init__(self, sock: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = io.BufferedReader(_Reader(self.fp.detach(), sock))


class _Reader(io.RawIOBase):
    """Reads from a socket until a deadline; its own timeout starts again with each byte."""

    def __init__(self, raw: io.RawIOBase, sock: Any) -> None:
        self._raw = raw
        self._sock = sock
        self._ends = time.monotonic() + RESPONSE_TIMEOUT

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no complete response within {RESPONSE_TIMEOUT:g} s")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
