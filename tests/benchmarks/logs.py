"""The log: the cost of an event for its caller, against two rivals, and for /health."""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.load import load
from tests.benchmarks.rows import row
from tests.support.service import start

ROUNDS = 5
SECONDS = 4.0
RIVALS = {
    "standard": "standard logging, QueueHandler and python-json-logger",
    "structlog": "structlog's documented fastest set-up, writing directly",
}


def main() -> None:
    callers()
    health()


def callers() -> None:
    measured: dict[str, list[dict[str, Any]]] = {"ours": [], **{name: [] for name in RIVALS}}
    for _ in range(ROUNDS):
        for name, results in measured.items():
            results.append(_rival(name))
    assert not sum(result["missing"] for results in measured.values() for result in results)
    medians = {
        name: {
            key: statistics.median(result[key] for result in results)
            for key in ("caller_us", "per_second")
        }
        for name, results in measured.items()
    }
    own = medians["ours"]
    for name, what in RIVALS.items():
        rival = medians[name]
        ratio = own["caller_us"] / rival["caller_us"]
        text = f"{ratio:.2f} ({own['caller_us']:.1f} to {rival['caller_us']:.1f} µs)"
        row(f"log: one event on the calling thread to {what}", text, "1", ratio < 1)
        ratio = own["per_second"] / rival["per_second"]
        text = f"{ratio:.2f} ({own['per_second']:,.0f} to {rival['per_second']:,.0f} per second)"
        row(f"log: events to the disk to {what}", text)


def health() -> None:
    ratios, speeds = [], []
    for _ in range(ROUNDS):
        pair = [_health(every_request=every) for every in (True, False)]
        ratios.append(pair[0] / pair[1])
        speeds.append(pair)
    ratio = statistics.median(ratios)
    on, off = (statistics.median(column) for column in zip(*speeds, strict=True))
    text = f"{ratio:.2f} ({on:,.0f} to {off:,.0f} per second)"
    row(
        "log: /health with a line in api.log for every request to without",
        text,
        "0.9",
        ratio >= 0.9,
    )


def _health(*, every_request: bool) -> float:
    with tempfile.TemporaryDirectory() as folder:
        service = start(
            Path(folder),
            allow=["disk"],
            environ={"ALIAPORT_LOG__PROBE_REQUESTS": str(every_request).lower()},
        )
        try:
            service.wait_listening()
            service.wait_started()
            return load(service.port, "/health", connections=16, seconds=SECONDS).per_second
        finally:
            service.process.kill()
            service.process.wait()


def _rival(name: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.log_rivals", name, folder],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(done.stdout)
        return found


if __name__ == "__main__":
    main()
