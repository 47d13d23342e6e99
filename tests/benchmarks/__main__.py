"""Prints the table of the README."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks import currency, logs, operations
from tests.benchmarks.load import Load, load
from tests.benchmarks.rows import head, row
from tests.support.distributions import install
from tests.support.service import Service, free_port, start

HERE = "tests.benchmarks.plugins"
ROOT = Path(__file__).parents[2]
SECONDS = 4.0
ROUNDS = 5


@contextmanager
def service(plugins: dict[str, str], bundled: tuple[str, ...] = ()) -> Iterator[Service]:
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        install(site, "benchmark-plugins", plugins)
        found = start(Path(folder) / "run", allow=[*bundled, *plugins], path=(site, ROOT))
        try:
            found.wait_listening()
            found.wait_started()
            yield found
        finally:
            found.process.kill()
            found.process.wait()


@contextmanager
def rival() -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.bare", str(port)])
    try:
        while True:
            try:
                load(port, "/health", connections=1, seconds=0.1)
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        process.kill()
        process.wait()


def health_against_bare() -> None:
    with rival() as port, service({}, ("cpu", "disk", "memory")) as found:
        ratio, result = _compare(found.port, port, "/health", connections=16)
    row("/health to a bare aiohttp handler on uvloop, 16 connections", result, "0.9", ratio >= 0.9)


def ready_against_bare() -> None:
    with rival() as port, service({"many": f"{HERE}:Many"}) as found:
        for connections in (1, 16):
            _, result = _compare(found.port, port, "/ready", connections=connections)
            what = "/ready with ten instant probes to a bare handler that awaits ten checks"
            row(f"{what}, {connections} connection{'s' * (connections > 1)}", result)


def _compare(own: int, bare: int, path: str, *, connections: int) -> tuple[float, str]:
    """Return the ratio of the ports' rates, and the text of the row."""
    ratios, ours, theirs = [], [], []
    for _ in range(ROUNDS):
        plain = load(bare, path, connections=connections, seconds=SECONDS).per_second
        full = load(own, path, connections=connections, seconds=SECONDS).per_second
        ratios.append(full / plain)
        ours.append(full)
        theirs.append(plain)
    ratio = statistics.median(ratios)
    return ratio, (
        f"{ratio:.2f} ({statistics.median(ours):,.0f} to {statistics.median(theirs):,.0f} per second)"
    )


def health_beside(what: str, plugins: dict[str, str], goal_ms: float) -> None:
    with service(plugins) as found:
        found.get("/status")
        measured: list[Load] = [
            load(found.port, "/health", connections=4, seconds=SECONDS, pause=0.005)
            for _ in range(3)
        ]
    ms = statistics.median(load.percentile(0.99) for load in measured) * 1000
    row(f"/health p99 beside {what}", f"{ms:.1f} ms", f"{goal_ms:g} ms", ms <= goal_ms)


def ready_cost() -> None:
    with service({"many": f"{HERE}:Many"}) as ten, service({}, ("disk",)) as none:
        with_probes = load(ten.port, "/ready", connections=1, seconds=SECONDS)
        without = load(none.port, "/ready", connections=1, seconds=SECONDS)
    cost = (statistics.median(with_probes.latencies) - statistics.median(without.latencies)) / 10
    row(
        "/ready, own cost of each of ten instant probes",
        f"{cost * 1000:.2f} ms",
        "0.25 ms",
        cost <= 0.00025,
    )


def status_of_fifty() -> None:
    with service({"slow": f"{HERE}:Slow"}) as found:
        measured = load(found.port, "/status", connections=1, seconds=SECONDS)
    ms = statistics.median(measured.latencies) * 1000
    row("/status with 50 probes of 100 ms", f"{ms:.0f} ms", "150 ms", ms <= 150)


def start_up() -> None:
    times = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            found = start(Path(folder), allow=["cpu", "disk", "memory"])
            found.wait_for(lambda: found.get("/ready").status == 200, "ready")
            times.append(time.perf_counter() - began)
            found.process.kill()
            found.process.wait()
    seconds = statistics.median(times)
    row(
        "start to the first /ready 200, without the embedded server",
        f"{seconds:.2f} s",
        "1.5 s",
        seconds <= 1.5,
    )


def memory() -> None:
    with service({}, ("cpu", "disk", "memory")) as found:
        sizes, sent = [], 0
        for _ in range(4):
            target = sent + 25_000
            while sent < target:
                sent += load(found.port, "/health", connections=8, seconds=1).requests
                load(found.port, "/status", connections=1, seconds=0.2)
            text = Path(f"/proc/{found.process.pid}/status").read_text()
            sizes.append(int(text.partition("VmRSS:")[2].split()[0]) / 1024)
    result = f"{sizes[-1]:.0f} MB ({', '.join(f'{size:.0f}' for size in sizes)} on the way)"
    row(
        "resident memory after 100,000 requests",
        result,
        "110 MB, flat",
        sizes[-1] <= 110 and sizes[-1] - sizes[0] < 5,
    )


def main() -> None:
    head()
    health_against_bare()
    health_beside("a blocking plugin", {"blocker": f"{HERE}:Blocker"}, 5)
    health_beside("a spinning plugin", {"spinner": f"{HERE}:Spinner"}, 10)
    two = {"spinner": f"{HERE}:Spinner", "second": f"{HERE}:SecondSpinner"}
    health_beside("two spinning plugins", two, 10)
    ready_cost()
    ready_against_bare()
    status_of_fifty()
    start_up()
    memory()
    currency.main()
    operations.main()
    logs.main()


if __name__ == "__main__":
    main()
