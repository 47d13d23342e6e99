"""The real service as a real process, asked over real sockets."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aliaport.logs.fields import LABELS, NAMES, NUMBERS

ROGUES = Path(__file__).parents[1] / "rogues"
PATIENCE = 30.0
"""Seconds after which something that should happen is taken never to happen."""


LOG_FILES = ("app.log", "api.log", "error.log", "audit.log")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Service:
    folder: Path
    process: "subprocess.Popen[str]"
    port: int
    internal_port: int | None = None
    environ: dict[str, str] = field(default_factory=dict)

    def get(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        timeout: float = PATIENCE,
        port: int | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=timeout)
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            text = answer.read().decode()
            return Answer(answer.status, dict(answer.getheaders()), text)
        finally:
            connection.close()

    def wait_for(self, happened: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
        """Ask again and again, since no event crosses the process border."""
        deadline = time.monotonic() + patience
        last: Any = None
        while time.monotonic() < deadline:
            try:
                last = happened()
            except (OSError, http.client.HTTPException) as error:
                last = None
                if self.process.poll() is not None:
                    raise AssertionError(
                        f"the service ended with {self.process.returncode} instead of: {what}\n"
                        f"{self.output()}"
                    ) from error
            if last:
                return last
            time.sleep(0.02)
        raise AssertionError(f"did not happen in {patience:g} s: {what}; log:\n{self.output()}")

    def wait_listening(self) -> None:
        self.wait_for(lambda: self.get("/health").status == 200, "/health answers 200")

    def wait_started(self) -> None:
        self.wait_for(lambda: self.events("service.started"), "the start-up has ended")

    def events(self, message: str | None = None) -> list[dict[str, Any]]:
        """The service's log lines; waits a moment for the first, since a thread writes them."""
        deadline = time.monotonic() + 1.0
        while not (found := self._read(message)) and time.monotonic() < deadline:
            time.sleep(0.01)
        return found

    def _read(self, message: str | None) -> list[dict[str, Any]]:
        lines = [
            json.loads(line)
            for name in LOG_FILES
            if (log := self.folder / "logs" / name).exists()
            for line in log.read_text().split("\n")[:-1]  # others than these cut at U+2028 too
        ]
        own = [line for line in lines if line["process.pid"] == self.process.pid]
        own.sort(key=lambda line: line["@timestamp"])
        return [_short(line) for line in own if message in (None, line["message"])]

    def output(self) -> str:
        return (self.folder / "output.txt").read_text()[-6000:]

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait_ended(self, patience: float = PATIENCE) -> int:
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the service still runs; log:\n{self.output()}") from None


def _short(line: dict[str, Any]) -> dict[str, Any]:
    """The line with the names that its fields have in code beside those that they have on disk."""
    short = {short: line[long] for short, long in NAMES.items() if long in line}
    for prefix in (LABELS, NUMBERS):
        short |= {k.removeprefix(prefix): v for k, v in line.items() if k.startswith(prefix)}
    return line | short


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(
    folder: Path,
    *,
    allow: Sequence[str] | None = ("disk",),
    environ: dict[str, str] | None = None,
    path: Sequence[Path] = (),
    config: str = "",
    arguments: Sequence[str] = (),
) -> Service:
    """Start the service in `folder`; `allow` are its plugins, `path` where to find more of them."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "ALIAPORT_PORT": str(port),
        **({} if allow is None else {"ALIAPORT_LOADING__ALLOW": json.dumps(list(allow))}),
        **(environ or {}),
    }
    if config:
        (folder / "aliaport.toml").write_text(config)
        variables["ALIAPORT_CONFIG"] = str(folder / "aliaport.toml")
    with (folder / "output.txt").open("a") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "aliaport", "serve", *arguments],
            cwd=folder,
            env=variables,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
    internal = variables.get("ALIAPORT_INTERNAL_PORT")
    return Service(folder, process, port, int(internal) if internal else None, variables)
