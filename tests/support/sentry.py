"""A stand-in for Sentry on loopback: accepts envelopes as the real one does and keeps them."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sentry_sdk

from aliaport import __version__
from aliaport.sentry import Sentry, start_sentry
from tests.support.stand_in import Reply, Request, StandIn

PATIENCE = 20.0
"""Seconds to wait for something that should arrive."""


@dataclass(frozen=True)
class Item:
    type: str
    payload: Any


class SentryServer(StandIn):
    """The server; `raw` are the uncompressed envelopes as received, `items` their contents."""

    keep_alive = True

    def __init__(self) -> None:
        self.status = 200
        self.raw: list[bytes] = []
        self.items: list[Item] = []
        self.auth: list[str] = []
        self._news = threading.Condition()
        super().__init__()

    @property
    def dsn(self) -> str:
        return f"http://key@127.0.0.1:{self.port}/1"

    @property
    def everything(self) -> bytes:
        with self._news:
            return b"\n".join(self.raw)

    def of(self, kind: str) -> list[Any]:
        """Return the payloads of one type: event, transaction, check_in, sessions, client_report."""
        with self._news:
            return [item.payload for item in self.items if item.type == kind]

    def wait(self, kind: str, count: int = 1, patience: float = PATIENCE) -> list[Any]:
        """Wait until there are this many payloads of a type; return all of them."""
        with self._news:
            arrived = self._news.wait_for(lambda: len(self.of(kind)) >= count, patience)
        found = self.of(kind)
        assert arrived, f"{len(found)} instead of {count} {kind} in {patience:g} s: {found}"
        return found

    def reply_to(self, request: Request) -> Reply:
        assert request.target == "/api/1/envelope/", request.target
        encoding = request.headers.get("Content-Encoding")
        assert encoding in (None, "gzip"), encoding
        body = gzip.decompress(request.body) if encoding else request.body
        with self._news:
            self.auth.append(request.headers.get("X-Sentry-Auth", ""))
            self.raw.append(body)
            self.items += parse_envelope(body)
            self._news.notify_all()
        return Reply(self.status, b"{}")


def parse_envelope(body: bytes) -> list[Item]:
    """Parse an envelope: a line of JSON, then for each item a line of JSON and its payload."""
    head, _, rest = body.partition(b"\n")
    json.loads(head)
    items = []
    while rest.strip():
        line, _, rest = rest.partition(b"\n")
        about = json.loads(line)
        if "length" in about:
            payload, rest = rest[: about["length"]], rest[about["length"] :].removeprefix(b"\n")
        else:
            payload, _, rest = rest.partition(b"\n")
        items.append(Item(about["type"], json.loads(payload)))
    return items


@contextmanager
def black_hole() -> Iterator[str]:
    """Yield the DSN of a server that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        yield f"http://key@127.0.0.1:{listener.getsockname()[1]}/1"


class HostileServer:
    """A server on loopback that sends `head` and then `part` forever to its one client.

    `ended` is set when the client has closed the connection; `sent` counts the bytes of the parts.
    """

    def __init__(self, head: bytes, part: bytes, pause: float = 0.0) -> None:
        self.ended = threading.Event()
        self.sent = 0
        self._head, self._part, self._pause = head, part, pause
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.dsn = f"http://key@127.0.0.1:{self._listener.getsockname()[1]}/1"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with self._listener.accept()[0] as connection:
            connection.recv(65_536)
            try:
                connection.sendall(self._head)
                while True:
                    self.sent += connection.send(self._part)
                    time.sleep(self._pause)
            except OSError:
                self.ended.set()


@contextmanager
def tracking(dsn: str) -> Iterator[Sentry]:
    """Track errors in this process, and forget everything afterwards."""
    yield start_sentry(dsn, environment="development", version=__version__)
    sentry_sdk.get_client().close(timeout=0)
    sentry_sdk.get_global_scope().set_client(None)
    sentry_sdk.get_global_scope().clear()
    sentry_sdk.get_isolation_scope().clear()


def refused() -> str:
    """Return the DSN of a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://key@127.0.0.1:{port}/1"


def took(call: Callable[[], Any]) -> float:
    """Return the seconds that a call takes."""
    began = time.monotonic()
    call()
    return time.monotonic() - began
