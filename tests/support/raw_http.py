"""HTTP as bytes on a socket: requests that no HTTP client sends."""

import re
import socket
from collections.abc import Iterable
from contextlib import suppress

from tests.support.waiting import PATIENCE


def request(path: str = "/health", *headers: str, method: str = "GET") -> bytes:
    """Return the head of a request."""
    lines = (f"{method} {path} HTTP/1.1", "Host: localhost", *headers)
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def read_to_end(connection: socket.socket) -> bytes:
    """Return all bytes until the server closes the connection."""
    received = b""
    with suppress(ConnectionResetError):
        while chunk := connection.recv(65_536):
            received += chunk
    return received


def deliver(port: int, pieces: Iterable[bytes]) -> bytes:
    """Send all pieces, and only then read, as many HTTP clients do.

    Raises ConnectionError if the server resets the connection.
    """
    with connect(port) as connection:
        for piece in pieces:
            connection.sendall(piece)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
        return received


def exchange(port: int, data: bytes, *, half_close: bool = False) -> bytes:
    """Send `data` and return everything until the server closes the connection."""
    with connect(port) as connection:
        connection.sendall(data)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        return read_to_end(connection)


def statuses(received: bytes) -> list[int]:
    """Return the status of each response."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]
