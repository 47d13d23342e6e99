"""One program of the stack, whose output is kept; it ends with the test in any case."""

import http.client
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.waiting import wait_until

_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")
"""So that nothing is left even if the tests themselves are killed."""


def responds(url: str, timeout: float = 2.0) -> bool:
    """Return whether a GET of `url` returns 200."""
    return fetch(url, timeout)[0] == 200


def fetch(url: str, timeout: float = 10.0) -> tuple[int, str]:
    """Return status and body of a GET; status 0 if there is no response."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
    try:
        connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""))
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return 0, repr(error)
    finally:
        connection.close()


@dataclass
class Program:
    name: str
    command: Sequence[str]
    folder: Path
    ready: str
    """The URL that returns 200 once the program serves."""
    environ: Mapping[str, str] = field(default_factory=dict)
    account: Sequence[str] = ()
    """Options of setpriv that name another user."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.out"

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def start(self) -> None:
        """Start it without waiting, so that all programs of the stack start at once."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*_WITH_PARENT, *self.account, *self.command],
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **self.environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_ready(self, patience: float = 60.0) -> None:
        def is_ready() -> bool:
            assert not self.ended, f"{self.name} ended instead of serving:\n{self.tail()}"
            return self.serves()

        try:
            wait_until(is_ready, f"{self.name} serves", patience)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None

    def serves(self) -> bool:
        return responds(self.ready)

    def end(self, number: int = signal.SIGKILL) -> None:
        """Send the signal and wait for the end."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(number)
        self._process.wait(30)

    def tail(self, characters: int = 3000) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"--- {self.name}\n{text[-characters:]}"
