"""Runs podman for the tests."""

import http.client
import json
import subprocess
from typing import Any


def podman(*arguments: str, timeout: float = 120) -> str:
    """Return podman's output; an error fails the test and shows all output."""
    done = try_podman(*arguments, timeout=timeout)
    assert done.returncode == 0, f"podman {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def try_podman(*arguments: str, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["podman", *arguments], capture_output=True, text=True, timeout=timeout, check=False
    )


def inspect(container: str) -> dict[str, Any]:
    (found,) = json.loads(podman("inspect", container))
    return dict(found)


def healthy(container: str) -> bool:
    """Run its health check once: the command of the image or the compose file."""
    return try_podman("healthcheck", "run", container, timeout=30).returncode == 0


def inside(container: str, script: str) -> "subprocess.CompletedProcess[str]":
    return try_podman("exec", container, "sh", "-c", script)


def get(port: int, path: str, timeout: float = 5.0) -> tuple[int, str]:
    """Return the status and the body; the status is 0 if nothing responds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
