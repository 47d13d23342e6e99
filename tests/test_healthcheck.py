"""A container's health check, in this process; test_process.py runs it with a real service."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from aliaport import healthcheck
from tests.support.service import free_port
from tests.support.stand_in import Reply, Request, StandIn


class NotReady(StandIn):
    """A service that is healthy and not ready."""

    def reply_to(self, request: Request) -> Reply:
        return Reply(200, b"fine") if request.target == "/health" else Reply(503, b"draining")


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    """Yield the port of a web server on loopback."""
    with NotReady() as server:
        yield str(server.port)


class Watchdog:
    """A timer that never exits this process, neither on a busy machine nor after the test."""

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
