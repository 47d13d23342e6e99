"""A stand-in for UptimeRobot's API, written from its documentation: pages, limits, what it keeps."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "u1234567-0123456789abcdef"
CONTACTS = [
    {"id": 11, "friendlyName": "Operators", "type": "EMAIL", "value": "admin@aliaport.com"},
    {"id": 12, "friendlyName": "#aliaport-alerts", "type": "SLACK", "value": "hook"},
    {"id": 13, "friendlyName": "SMS", "type": "SMS", "value": "+900000000000"},
]


class Robot:
    """`monitors` are kept by number; `refusals` are statuses and headers for the next requests."""

    def __init__(self) -> None:
        self.monitors: dict[int, dict[str, Any]] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.refusals: list[tuple[int, dict[str, str]]] = []
        self.next_link = ""
        robot = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                robot.answer(self)

            do_POST = do_PATCH = do_DELETE = do_GET

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v3"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(self, **monitor: Any) -> int:
        number = 100 + len(self.monitors)
        self.monitors[number] = {"id": number, "status": "UP", **monitor}
        return number

    def changes(self) -> list[tuple[str, str, Any]]:
        return [each for each in self.requests if each[0] != "GET"]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        length = int(request.headers.get("Content-Length", 0))
        body = json.loads(request.rfile.read(length)) if length else None
        path = parts.path.removeprefix("/v3/")
        self.requests.append((request.command, path, body))
        if request.headers["Authorization"] != f"Bearer {KEY}":
            self._send(request, 401, {"message": "Unauthorized"})
        elif self.refusals:
            status, headers = self.refusals.pop(0)
            self._send(request, status, {"message": "not now"}, headers)
        elif path == "user/alert-contacts":
            self._send(request, 200, {"data": CONTACTS, "nextLink": None})
        elif request.command == "GET":
            self._list(request, int(parse_qs(parts.query).get("cursor", ["0"])[0]))
        elif request.command == "POST":
            self._send(request, 201, self.monitors[self.add(**body)])
        elif request.command == "PATCH":
            self.monitors[int(path.rpartition("/")[2])] |= body
            self._send(request, 200, {})
        else:
            del self.monitors[int(path.rpartition("/")[2])]
            self._send(request, 204, None)

    def _list(self, request: BaseHTTPRequestHandler, cursor: int) -> None:
        """Two a page."""
        left = [self.monitors[number] for number in sorted(self.monitors) if number > cursor]
        link = f"{self.url}/monitors?cursor={left[1]['id']}" if len(left) > 2 else None
        self._send(request, 200, {"data": left[:2], "nextLink": self.next_link or link})

    def _send(
        self,
        request: BaseHTTPRequestHandler,
        status: int,
        body: Any,
        headers: dict[str, str] | None = None,
    ) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        request.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(data)
