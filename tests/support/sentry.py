"""A stand-in for Sentry on loopback: takes envelopes as the real one does and keeps them.

It is no aiohttp server: the SDK traces every aiohttp application of its process, this one too then.
"""

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE = 20.0
"""Seconds after which what should arrive is taken never to arrive."""


@dataclass(frozen=True)
class Item:
    type: str
    payload: Any


@dataclass
class SentryServer:
    """`raw` are the uncompressed envelopes as they came, `items` what was in them."""

    port: int = 0
    status: int = 200
    raw: list[bytes] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    auth: list[str] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)

    @property
    def dsn(self) -> str:
        return f"http://key@127.0.0.1:{self.port}/1"

    @property
    def everything(self) -> bytes:
        with self._news:
            return b"\n".join(self.raw)

    def of(self, kind: str) -> list[Any]:
        """The payloads of one type: event, transaction, check_in, sessions, client_report."""
        with self._news:
            return [item.payload for item in self.items if item.type == kind]

    def wait(self, kind: str, count: int = 1, patience: float = PATIENCE) -> list[Any]:
        """Wait until so many payloads of a type are there, and return all of them."""
        with self._news:
            arrived = self._news.wait_for(lambda: len(self.of(kind)) >= count, patience)
        found = self.of(kind)
        assert arrived, f"{len(found)} instead of {count} {kind} in {patience:g} s: {found}"
        return found

    def take(self, path: str, headers: Any, body: bytes) -> None:
        assert path == "/api/1/envelope/", path
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        else:
            assert headers.get("Content-Encoding") is None, headers["Content-Encoding"]
        with self._news:
            self.auth.append(headers.get("X-Sentry-Auth", ""))
            self.raw.append(body)
            self.items += parse_envelope(body)
            self._news.notify_all()


def parse_envelope(body: bytes) -> list[Item]:
    """A line of JSON for the envelope, then for each item a line of JSON and its payload."""
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
def sentry_server() -> Iterator[SentryServer]:
    """Run the stand-in on a free port."""
    state = SentryServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            state.take(
                self.path, self.headers, self.rfile.read(int(self.headers["Content-Length"]))
            )
            self.send_response(state.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_arguments: Any) -> None:
            """Keep the output of the tests clean."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join(10)


@contextmanager
def black_hole() -> Iterator[str]:
    """The DSN of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        yield f"http://key@127.0.0.1:{listener.getsockname()[1]}/1"


def refused() -> str:
    """The DSN of a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://key@127.0.0.1:{port}/1"


def took(call: Callable[[], Any]) -> float:
    """The seconds that a call takes."""
    began = time.monotonic()
    call()
    return time.monotonic() - began
