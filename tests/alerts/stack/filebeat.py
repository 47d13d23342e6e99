"""A stand-in for the page of statistics of a Filebeat 9, which could not be had."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def statistics(filled: float) -> dict[str, Any]:
    """What /stats answers as far as is known here, with a queue that is `filled` (0 to 1)."""
    return {
        "beat": {"info": {"name": "filebeat", "uptime": {"ms": 600_000}, "version": "9.5.1"}},
        "filebeat": {
            "events": {"active": 0, "added": 1200, "done": 1200},
            "harvester": {"closed": 0, "open_files": 4, "running": 4, "skipped": 0, "started": 4},
        },
        "libbeat": {
            "config": {"module": {"running": 0, "starts": 0, "stops": 0}},
            "output": {
                "events": {"acked": 1200, "active": 0, "batches": 24, "failed": 0, "total": 1200},
                "read": {"bytes": 4096, "errors": 0},
                "type": "elasticsearch",
                "write": {"bytes": 900_000, "errors": 0},
            },
            "pipeline": {
                "clients": 2,
                "events": {"active": 0, "filtered": 0, "published": 1200, "total": 1200},
                "queue": {
                    "acked": 1200,
                    "filled": {"bytes": 0, "events": round(3200 * filled), "pct": filled},
                    "max_events": 3200,
                },
            },
        },
        "registrar": {"states": {"cleanup": 0, "current": 4, "update": 1200}},
    }


class Filebeat:
    """Serves /stats; `filled` is the state of its queue."""

    def __init__(self) -> None:
        self.filled = 0.0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.path == "/stats"
                body = json.dumps(statistics(outer.filled)).encode() if known else b""
                self.send_response(200 if known else 404)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}
        )

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(10)
        self._server.server_close()
