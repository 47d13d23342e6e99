"""Record what callers see while a container is stopped."""

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.containers.engine import get


@dataclass
class Stop:
    """A stopped container; `seen` has each change of the statuses of /ready and /health, with its second."""

    seconds: float = 0.0
    code: int | None = None
    seen: list[tuple[float, int, int]] = field(default_factory=list)

    def first(self, ready: int) -> float:
        found = [moment for moment, status, _ in self.seen if status == ready]
        assert found, f"/ready was never {ready}: {self.seen}"
        return found[0]


def watch_stop(
    command: list[str],
    port: int,
    folder: Path = Path("/"),
    environ: Mapping[str, str] = os.environ,
) -> Stop:
    """Run `command`, which stops the container that listens on `port`, and watch."""
    stop = Stop()
    begin = time.monotonic()
    with subprocess.Popen(
        command, cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            ready, health = get(port, "/ready", 1.0)[0], get(port, "/health", 1.0)[0]
            if not stop.seen or stop.seen[-1][1:] != (ready, health):
                stop.seen.append((round(time.monotonic() - begin, 2), ready, health))
            time.sleep(0.05)
        stop.seconds = round(time.monotonic() - begin, 2)
        stop.code = process.returncode
    return stop
