"""A container's HEALTHCHECK: `python -m aliaport.healthcheck [--ready]`.

Exits with 0 if the service responds with 200, otherwise with 1, and always within 2 seconds. Until
it has to read the configuration it uses the standard library only, so it starts in a moment.
"""

import argparse
import contextlib
import http.client
import json
import os
import sys
import threading
from pathlib import Path

from aliaport import SERVICE
from aliaport.errors import ConfigError
from aliaport.process.address import Address, find
from aliaport.process.standard_streams import open_missing

TIMEOUT = 2.0
"""Seconds for the whole check."""

_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
"""Where to reach a service that listens on all addresses."""


def check(host: str, port: int, path: str, timeout: float) -> tuple[int, str]:
    """Return the status code and the start of the body.

    Raises OSError, HTTPException, or ValueError if it is not Aliaport that responds.
    """
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        # Only /health names the service. The connection stays open, so the next response comes
        # from the same process.
        status, body = _get(connection, "/health")
        if not _is_aliaport(body):
            raise ValueError(f"{host} port {port}: the response is not that of {SERVICE}")
        return (status, body) if path == "/health" else _get(connection, path)
    finally:
        connection.close()


def reachable(host: str) -> str:
    """Return the address at which this machine reaches a service that listens on `host`."""
    return _LOOPBACK.get(host, host)


def main(arguments: list[str] | None = None) -> int:
    """Check once and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="aliaport healthcheck",
        description="Check a running service. The exit code is 0 if it responds with 200, else 1. "
        "By default, the address is that of the service that runs here; if there is none or "
        "several, that of the configuration.",
    )
    parser.add_argument("--ready", action="store_true", help="check /ready instead of /health")
    parser.add_argument("--host", help="address of the service")
    parser.add_argument("--port", type=int, help="port of the service")
    parser.add_argument(
        "--config", type=Path, help="path of aliaport.toml; default: ALIAPORT_CONFIG"
    )
    parser.add_argument("--env-file", type=Path, help="path of a .env file")
    given = parser.parse_args(arguments)
    path = "/ready" if given.ready else "/health"
    # A service that sends one byte a second would never hit the socket's timeout.
    watchdog = threading.Timer(TIMEOUT, _give_up, (path,))
    watchdog.daemon = True
    watchdog.start()
    try:
        host, port = given.host, given.port
        if host is None or port is None:
            wanted = str(port or os.environ.get("ALIAPORT_PORT", ""))
            own_host, own_port = _own_address(wanted, given.config, given.env_file)
            host, port = host or own_host, port or own_port
        status, body = check(reachable(host), port, path, TIMEOUT)
    except (OSError, http.client.HTTPException, ValueError, ConfigError) as error:
        return _print_result(1, f"{path}: {type(error).__name__}: {error}")
    return _print_result(0 if status == 200 else 1, f"{path}: {status} {body.strip()}")


def _get(connection: http.client.HTTPConnection, path: str) -> tuple[int, str]:
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read(4096).decode("utf-8", "replace")


def _is_aliaport(body: str) -> bool:
    try:
        return bool(json.loads(body)["service"] == SERVICE)
    except (ValueError, KeyError, TypeError):
        return False


def _own_address(port: str, config: Path | None, env_file: Path | None) -> Address:
    """Return the address of the one service that runs here, or else the configured one.

    If `port` is the number of a port, only a service on that port counts.
    """
    number = int(port) if port.strip().isdecimal() else 0
    running = [addresses[0] for addresses in find() if number in (0, addresses[0][1])]
    if len(running) == 1:
        return running[0]
    # Imported here because it is slow.
    from aliaport.settings import core_settings, read_sources

    settings = core_settings(read_sources(os.environ, config, env_file))
    return settings.host.strip(), settings.port


def _print_result(code: int, text: str) -> int:
    # A full disk or a closed pipe says nothing about the service.
    with contextlib.suppress(OSError):
        os.write(1, f"{text}\n".encode("utf-8", "replace"))
    return code


def _give_up(path: str) -> None:
    os._exit(_print_result(1, f"{path}: no response within {TIMEOUT:g} s"))


if __name__ == "__main__":
    open_missing()
    sys.exit(main())
