"""A server that speaks PostgreSQL's protocol as far as connecting goes, of any version."""

import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SSL_REQUEST = 80877103


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def _refusal(setting: str) -> bytes:
    text = f'unrecognized configuration parameter "{setting}"'
    fields = (b"SFATAL", b"VFATAL", b"C42704", b"M" + text.encode())
    return _message(b"E", b"".join(field + b"\0" for field in fields) + b"\0")


def _welcome(parameters: dict[str, str]) -> bytes:
    statuses = (
        _message(b"S", name.encode() + b"\0" + value.encode() + b"\0")
        for name, value in parameters.items()
    )
    authenticated, ready = _message(b"R", struct.pack("!I", 0)), _message(b"Z", b"I")
    return authenticated + b"".join(statuses) + ready


class _Session(socketserver.StreamRequestHandler):
    response = b""

    def handle(self) -> None:
        while self._receive() == SSL_REQUEST:
            self.wfile.write(b"N")
        self.wfile.write(self.response)
        self.rfile.read(1)

    def _receive(self) -> int:
        length, code = struct.unpack("!II", self.rfile.read(8))
        self.rfile.read(length - 8)
        return int(code)


@contextmanager
def old_postgres(*, unknown: str = "", **parameters: str) -> Iterator[str]:
    """Yield the URL of a server that reports `parameters`, or refuses the setting `unknown`."""
    response = _refusal(unknown) if unknown else _welcome(parameters)
    handler = type("Session", (_Session,), {"response": response})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"postgresql://a:b@127.0.0.1:{server.server_address[1]}/c"
        finally:
            server.shutdown()
