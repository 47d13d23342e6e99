"""The real service as a real process, called over real sockets."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from aliaport.logs.fields import LABELS, NAMES, NUMBERS
from tests.support.distributions import install
from tests.support.ports import free_port as free_port
from tests.support.waiting import NOT_YET, NeverHappenedError, wait_until
from tests.support.waiting import PATIENCE as PATIENCE

ResultT = TypeVar("ResultT")

ROGUES = Path(__file__).parents[1] / "rogues"

INTERRUPTIBLE = ("env", "--default-signal=INT")
"""The start of a command that reacts to SIGINT even if this process was started to ignore it."""

LOG_FILES = ("app.log", "api.log", "error.log", "audit.log")


@dataclass(frozen=True)
class Response:
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
    ) -> Response:
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=timeout)
        try:
            connection.request(method, path, headers=headers or {})
            response = connection.getresponse()
            text = response.read().decode()
            return Response(response.status, dict(response.getheaders()), text)
        finally:
            connection.close()

    def wait_for(
        self, happened: Callable[[], ResultT], what: str, patience: float = PATIENCE
    ) -> ResultT:
        """Wait like `wait_until`, but stop waiting if the service exits."""

        def look() -> ResultT:
            try:
                return happened()
            except NOT_YET as error:
                if self.process.poll() is not None:
                    code = self.process.returncode
                    raise AssertionError(
                        f"the service exited with {code} instead of: {what}"
                    ) from error
                raise

        try:
            return wait_until(look, what, patience)
        except NeverHappenedError as error:
            raise AssertionError(f"{error}; log:\n{self.output()}") from error

    def wait_listening(self) -> None:
        self.wait_for(lambda: self.get("/health").status == 200, "/health returns 200")

    def wait_started(self) -> None:
        self.wait_events("service.started")

    def wait_events(self, message: str) -> list[dict[str, Any]]:
        """Wait until there are log lines with this message; return them."""
        found: list[dict[str, Any]] = self.wait_for(
            lambda: self._read(message), f"the event {message} is logged"
        )
        return found

    def events(self, message: str | None = None) -> list[dict[str, Any]]:
        """Return the service's log lines; if there are none yet, wait a moment for them.

        If there must be some, use `wait_events`: threads of the service write them.
        """
        deadline = time.monotonic() + 1.0
        while not (found := self._read(message)) and time.monotonic() < deadline:
            time.sleep(0.01)
        return found

    def _read(self, message: str | None) -> list[dict[str, Any]]:
        lines = [
            json.loads(line)
            for name in LOG_FILES
            if (log := self.folder / "logs" / name).exists()
            for line in log.read_text().split("\n")[:-1]  # splitlines() would also split at U+2028
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

    def kill(self) -> None:
        """Stop the service if it still runs.

        SIGKILL is fastest, but would lose the service's data if coverage is measured.
        """
        if "COVERAGE_PROCESS_CONFIG" in os.environ:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE)
        self.process.kill()
        self.process.wait()


def _short(line: dict[str, Any]) -> dict[str, Any]:
    """Return the line with the names of its fields in code beside their names on disk."""
    short = {short: line[long] for short, long in NAMES.items() if long in line}
    for prefix in (LABELS, NUMBERS):
        short |= {k.removeprefix(prefix): v for k, v in line.items() if k.startswith(prefix)}
    return line | short


def start(
    folder: Path,
    *,
    allow: Sequence[str] | None = ("disk",),
    environ: dict[str, str] | None = None,
    path: Sequence[Path] = (),
    config: str = "",
    arguments: Sequence[str] = (),
    prefix: Sequence[str] = (),
) -> Service:
    """Start the service in `folder`; `allow` are its plugins, `path` has further ones.

    `prefix` is a command that runs the service's own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "ALIAPORT_PORT": str(port),
        **({} if allow is None else {"ALIAPORT_SELECTION__ALLOW": json.dumps(list(allow))}),
        **(environ or {}),
    }
    if config:
        (folder / "aliaport.toml").write_text(config)
        variables["ALIAPORT_CONFIG"] = str(folder / "aliaport.toml")
    with (folder / "output.txt").open("a") as output:
        process = subprocess.Popen(
            [*INTERRUPTIBLE, *prefix, sys.executable, "-m", "aliaport", "serve", *arguments],
            cwd=folder,
            env=variables,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
    internal = variables.get("ALIAPORT_INTERNAL_PORT")
    return Service(folder, process, port, int(internal) if internal else None, variables)


def patient(*probes: str) -> str:
    """Return a configuration in which no result depends on how busy the machine is.

    The table of the last probe is open: more of its options may follow.
    """
    tables = "".join(f"[probes.{name}]\ntimeout = 30\n" for name in probes)
    return f"ready_timeout = 30\nstatus_timeout = 30\n{tables}"


@contextmanager
def running(
    folder: Path,
    plugins: Mapping[str, str] | None = None,
    apps: Mapping[str, str] | None = None,
    *,
    allow: Sequence[str] = (),
    **options: Any,
) -> Iterator[Service]:
    """Run a service with these rogues, and with the plugins `allow`, until the block ends.

    For fixtures of a module or session, whose tests do not change the service.
    """
    install(folder / "site", "aliaport-rogues", plugins, apps)
    names = (*allow, *(plugins or {}), *(apps or {}))
    service = start(folder / "run", allow=names, path=(folder / "site", ROGUES), **options)
    try:
        service.wait_listening()
        service.wait_started()
        yield service
        service.signal()
        assert service.wait_ended() == 0, service.output()
    finally:
        service.kill()
