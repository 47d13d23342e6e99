"""A container's HEALTHCHECK: `python -m aliaport.healthcheck [--ready]`. Standard library only.

Exits with 0 if the service responds with 200, otherwise with 1, and always within 2 seconds.
"""

import argparse
import http.client
import os
import socket
import sys
import threading

TIMEOUT = 2.0
"""Seconds for the whole check."""


def check(host: str, port: int, path: str, timeout: float) -> tuple[int, str]:
    """Return the status code and the start of the body. Raises OSError or HTTPException."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read(4096).decode("utf-8", "replace")
    finally:
        connection.close()


def main(arguments: list[str] | None = None) -> int:
    """Check once and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m aliaport.healthcheck",
        description="Check a running service. The exit code is 0 if it responds with 200, else 1.",
    )
    parser.add_argument("--ready", action="store_true", help="check /ready instead of /health")
    parser.add_argument("--host", default=_own_host(), help="default: ALIAPORT_HOST or 127.0.0.1")
    parser.add_argument(
        "--port", type=int, default=_own_port(), help="default: ALIAPORT_PORT or 8000"
    )
    given = parser.parse_args(arguments)
    path = "/ready" if given.ready else "/health"
    # A service that sends one byte a second would never hit the socket's timeout.
    watchdog = threading.Timer(TIMEOUT, _give_up, (path,))
    watchdog.daemon = True
    watchdog.start()
    try:
        status, body = check(given.host, given.port, path, TIMEOUT)
    except (OSError, http.client.HTTPException) as error:
        return _print_result(1, f"{path}: {type(error).__name__}: {error}")
    return _print_result(0 if status == 200 else 1, f"{path}: {status} {body.strip()}")


def _own_host() -> str:
    host = os.environ.get("ALIAPORT_HOST", "")
    return "127.0.0.1" if host in ("", "0.0.0.0", "::") else host  # noqa: S104


def _own_port() -> int:
    # Kubernetes injects ALIAPORT_PORT=tcp://… for a Service named aliaport.
    port = os.environ.get("ALIAPORT_PORT", "")
    return int(port) if port.isdecimal() else 8000


def _print_result(code: int, text: str) -> int:
    print(text, flush=True)
    return code


def _give_up(path: str) -> None:
    print(f"{path}: no response within {TIMEOUT:g} s", flush=True)
    os._exit(1)


if __name__ == "__main__":
    socket.setdefaulttimeout(TIMEOUT)
    sys.exit(main())
