"""A web server on loopback that keeps what is posted to it."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Posts:
    """Keeps the bodies of all posts in `bodies`; while `failing`, it answers 500 and keeps none."""

    answer = b""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.failing = False
        self.refused = 0
        """How many posts came while it failed."""
        posts = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if posts.failing:
                    posts.refused += 1
                    self.send_response(500)
                else:
                    posts.bodies.append(body)
                    self.send_response(200)
                self.send_header("Content-Length", str(len(posts.answer)))
                self.end_headers()
                self.wfile.write(posts.answer)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}/"
        # Ends are noticed at the next turn of the loop.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
