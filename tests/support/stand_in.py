"""A recording HTTP server on loopback with scripted responses, for services that tests cannot use.

It does not use aiohttp, since Sentry's SDK traces every aiohttp application of its process.
"""

import json
import ssl
import sys
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self
from urllib.parse import SplitResult, urlsplit


@dataclass(frozen=True)
class Request:
    """A request as received; `target` is its path with its query."""

    method: str
    target: str
    headers: Message
    body: bytes

    @property
    def url(self) -> SplitResult:
        return urlsplit(self.target)

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """A response of the server."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: Any, status: int = 200) -> Self:
        headers = {"Content-Type": "application/json; charset=utf-8"}
        return cls(status, json.dumps(value).encode(), headers)


class StandIn:
    """A server that listens until `stop`, which a `with` block calls at its end.

    It records `requests`. The replies in `script` are sent first, one per request and in order;
    after them, `reply_to` decides, which subclasses override.
    """

    keep_alive: ClassVar[bool] = False

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.script: deque[Reply] = deque()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = int(self._server.server_address[1])
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        # A stop is noticed after at most this many seconds.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def reply_to(self, request: Request) -> Reply:
        """Return the response to a request without a scripted one."""
        return Reply()

    def handle(self, request: Request) -> Reply:
        """Record the request and return its response."""
        self.requests.append(request)
        return self.script.popleft() if self.script else self.reply_to(request)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A client that keeps its connection would delay the end of the test.
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Show the error, except for clients that did not wait for their response."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _handler(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1" if stand_in.keep_alive else "HTTP/1.0"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            reply = stand_in.handle(Request(self.command, self.path, self.headers, body))
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Keep the output of the tests clean."""

    return Handler
