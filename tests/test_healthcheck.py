"""A container's health check, in this process; test_process.py runs it beside a real service."""

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace

import pytest

from aliaport import healthcheck
from tests.support.service import free_port


class Handler(BaseHTTPRequestHandler):
    """Healthy and not ready."""

    def do_GET(self) -> None:
        body = b"fine" if self.path == "/health" else b"draining"
        self.send_response(200 if self.path == "/health" else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the output of the tests clean."""


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    """The port of a web server on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield str(server.server_address[1])
        server.shutdown()
        thread.join()


class Watchdog:
    """A timer that does not end this process, neither on a busy machine nor after the test."""

    daemon = False

    def __init__(self, seconds: float, function: Callable[..., None], arguments: object) -> None:
        assert (seconds, function) == (healthcheck.TIMEOUT, healthcheck._give_up)  # noqa: SLF001

    def start(self) -> None:
        assert self.daemon


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healthcheck, "threading", SimpleNamespace(Timer=Watchdog))
    monkeypatch.setattr(healthcheck, "TIMEOUT", 100.0)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "127.0.0.1"])
def test_it_finds_the_service_by_its_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], port: str, host: str
) -> None:
    monkeypatch.setenv("ALIAPORT_HOST", host)
    monkeypatch.setenv("ALIAPORT_PORT", port)
    assert healthcheck.main([]) == 0
    assert healthcheck.main(["--ready"]) == 1
    assert capsys.readouterr().out == "/health: 200 fine\n/ready: 503 draining\n"


def test_options_win_over_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], port: str
) -> None:
    monkeypatch.setenv("ALIAPORT_PORT", "tcp://10.0.0.1:8000")  # as Kubernetes injects it
    assert healthcheck.main(["--host", "127.0.0.1", "--port", port]) == 0
    assert healthcheck.main(["--host", "127.0.0.1", "--port", str(free_port())]) == 1
    assert capsys.readouterr().out.splitlines()[1].startswith("/health: ConnectionRefusedError: ")
