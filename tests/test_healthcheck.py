"""A container's health check, in this process; tests/process runs it with a real service."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from aliaport import healthcheck
from aliaport.process.address import Address
from tests.support.service import free_port
from tests.support.stand_in import Reply, Request, StandIn

HEALTH = json.dumps({"status": "healthy", "service": "aliaport-api"})
GOOD = f"/health: 200 {HEALTH}\n"


class NotReady(StandIn):
    """A service that is healthy and not ready."""

    health = HEALTH

    def reply_to(self, request: Request) -> Reply:
        if request.target == "/health":
            return Reply(200, self.health.encode())
        return Reply(503, b"draining")


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


Running = set[tuple[Address, ...]]


@pytest.fixture(autouse=True)
def running(monkeypatch: pytest.MonkeyPatch) -> Running:
    """Let the check be patient, and see these services instead of those of this machine."""
    services: Running = set()
    monkeypatch.setattr(healthcheck, "threading", SimpleNamespace(Timer=Watchdog))
    monkeypatch.setattr(healthcheck, "TIMEOUT", 100.0)
    monkeypatch.setattr(healthcheck, "find", lambda: services)
    for name in ("ALIAPORT_PORT", "ALIAPORT_HOST", "ALIAPORT_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return services


@pytest.mark.parametrize("host", ["", "0.0.0.0", "127.0.0.1", " 127.0.0.1 "])
def test_it_reads_the_environment(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], port: str, host: str
) -> None:
    monkeypatch.setenv("ALIAPORT_HOST", host)
    monkeypatch.setenv("ALIAPORT_PORT", f" {port} ")
    assert healthcheck.main([]) == 0
    assert healthcheck.main(["--ready"]) == 1
    assert capfd.readouterr().out == f"{GOOD}/ready: 503 draining\n"


def test_it_reads_the_files(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], port: str, tmp_path: Path
) -> None:
    file = tmp_path / "aliaport.toml"
    file.write_text(f"port = {port}\n")
    assert healthcheck.main(["--config", str(file)]) == 0
    monkeypatch.setenv("ALIAPORT_CONFIG", str(file))
    assert healthcheck.main([]) == 0
    file.write_text(f"port = {free_port()}\n")
    variables = tmp_path / "env"
    variables.write_text(f"ALIAPORT_PORT={port}\n")
    assert healthcheck.main(["--env-file", str(variables)]) == 0
    assert healthcheck.main([]) == 1
    file.write_text("port = 'no'\n")
    assert healthcheck.main([]) == 1
    *_, refused, wrong, key = capfd.readouterr().out.splitlines()
    assert refused.startswith("/health: ConnectionRefusedError: ")
    assert wrong.startswith("/health: ConfigError: ")
    assert str(file) in key


def test_options_win_over_everything(
    monkeypatch: pytest.MonkeyPatch, port: str, running: Running
) -> None:
    running.add((("127.0.0.1", free_port()),))
    monkeypatch.setenv("ALIAPORT_PORT", "tcp://10.0.0.1:8000")  # as Kubernetes injects it
    assert healthcheck.main(["--host", "127.0.0.1", "--port", port]) == 0
    assert healthcheck.main(["--port", port]) == 0
    assert healthcheck.main(["--host", "127.0.0.1", "--port", str(free_port())]) == 1


def test_it_checks_the_service_that_runs_here(
    monkeypatch: pytest.MonkeyPatch, port: str, running: Running, tmp_path: Path
) -> None:
    (tmp_path / "aliaport.toml").write_text(f"port = {free_port()}\n")
    monkeypatch.setenv("ALIAPORT_CONFIG", str(tmp_path / "aliaport.toml"))
    running.add((("0.0.0.0", int(port)),))
    assert healthcheck.main([]) == 0
    running.add((("127.0.0.1", free_port()),))
    assert healthcheck.main([]) == 1, "two services run here, and the file names neither"
    monkeypatch.setenv("ALIAPORT_PORT", port)
    assert healthcheck.main([]) == 0
    monkeypatch.setenv("ALIAPORT_PORT", str(free_port()))
    assert healthcheck.main([]) == 1, "the service of this environment does not run"


@pytest.mark.parametrize("health", ["fine", "[]", "{}", '{"service": "other"}'])
def test_another_program_on_the_port_is_not_healthy(
    capfd: pytest.CaptureFixture[str], health: str
) -> None:
    class Other(NotReady):
        pass

    Other.health = health
    with Other() as server:
        assert healthcheck.main(["--host", "127.0.0.1", "--port", str(server.port)]) == 1
        assert healthcheck.main(["--ready", "--host", "127.0.0.1", "--port", str(server.port)]) == 1
        problem = f"127.0.0.1 port {server.port}: the response is not that of aliaport-api"
    assert capfd.readouterr().out.splitlines() == [
        f"{path}: ValueError: {problem}" for path in ("/health", "/ready")
    ]
