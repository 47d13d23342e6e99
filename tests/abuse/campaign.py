"""The campaign: who attacks, under which limits, and what must stay true."""

import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil

from tests.abuse.attackers import attack
from tests.abuse.prober import probe
from tests.support.memory_cgroup import MemoryCgroup, memory_cgroup
from tests.support.plugins import BUNDLED
from tests.support.postgres import TcpPostgres
from tests.support.service import Service, start

DESCRIPTORS = 1024

KEPT = 64 * 2**20
"""Bytes that the process may hold afterwards beyond those before: caches, and gaps in the heap."""


@dataclass(frozen=True)
class Strength:
    """How hard the campaign is: held connections, callers per flood, seconds, bytes of memory."""

    connections: int
    flooders: int
    seconds: float
    memory: int


FULL = Strength(connections=2000, flooders=10, seconds=300, memory=256 * 2**20)


@dataclass
class Outcome:
    """The measurements: latencies in seconds, memory in bytes; `limits` is from /status."""

    latencies: list[float] = field(default_factory=list)
    results: Counter[str] = field(default_factory=Counter)
    attackers: dict[str, int] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    descriptors: dict[str, int] = field(default_factory=dict)
    limits: list[dict[str, Any]] = field(default_factory=list)
    logged: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)
    killed: int = 0

    def percentile(self, share: float) -> float:
        """Return the percentile of the latencies of /health in seconds; a failed call is infinite."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def run(folder: Path, strength: Strength, server: TcpPostgres) -> Outcome:
    """Attack a service in `folder`, whose database is a new one of `server`."""
    outcome = Outcome()
    with memory_cgroup(strength.memory) as cgroup, _hostile(server) as ports:
        service = _start(folder, server, ports, cgroup)
        try:
            service.wait_listening()
            service.wait_started()
            for path in ("/health", "/ready", "/status", "/metrics"):
                service.get(path)  # what the first calls load is not theirs to give back
            _measure(outcome, "before", service)
            _attack(outcome, strength, service)
            ended = service.process.poll()
            assert ended is None, f"ended with {ended}, {cgroup.killed} killed: {service.output()}"
            _measure(outcome, "at the end", service)
            _wait_recovered(outcome, service)
            _measure(outcome, "afterwards", service)
            outcome.limits = service.get("/status").json["data"].get("limits", [])
            outcome.logged.update(event["message"] for event in service.events())
            outcome.failures = service.events("request.failed")
            service.signal()
            assert service.wait_ended() == 0, service.output()
            outcome.killed = cgroup.killed
        finally:
            service.kill()
    return outcome


@contextmanager
def _hostile(server: TcpPostgres) -> Iterator[list[int]]:
    """Yield the ports of the hostile PostgreSQL, Sentry and central bank."""
    command = [sys.executable, "-m", "tests.abuse.hostile", str(server.port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()


def _start(folder: Path, server: TcpPostgres, ports: list[int], cgroup: MemoryCgroup) -> Service:
    postgres, sentry, tcmb = ports
    database = server.new_database("abuse")
    honest, port = f":{server.port}/", f":{postgres}/"
    return start(
        folder,
        allow=BUNDLED,
        environ={
            "DATABASE_URL": server.dsn(database=database).replace(honest, port),
            "SENTRY_DSN": f"http://key@127.0.0.1:{sentry}/1",
            "ALIAPORT_PLUGINS__CURRENCY_SYNC__SOURCE": f"http://127.0.0.1:{tcmb}/kurlar",
            "ALIAPORT_PLUGINS__CURRENCY_SYNC__REQUEST_INTERVAL": "0.1",
        },
        prefix=(*cgroup.within, "prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"),
    )


def _attack(outcome: Outcome, strength: Strength, service: Service) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        attacking = processes.submit(
            attack, service.port, strength.connections, strength.flooders, strength.seconds
        )
        probing = processes.submit(probe, service.port, strength.seconds)
        for latency, result in probing.result():
            outcome.latencies.append(latency if result == "200" else math.inf)
            outcome.results[result] += 1
        outcome.attackers = attacking.result()


def _measure(outcome: Outcome, when: str, service: Service) -> None:
    process = psutil.Process(service.process.pid)
    outcome.memory[when] = process.memory_info().rss
    outcome.descriptors[when] = process.num_fds()


def _wait_recovered(outcome: Outcome, service: Service) -> None:
    """Wait until the attackers' connections are gone, and what they needed is given back."""
    process = psutil.Process(service.process.pid)
    descriptors, memory = outcome.descriptors["before"] + 20, outcome.memory["before"] + KEPT
    service.wait_for(lambda: process.num_fds() <= descriptors, "the descriptors come back")
    service.wait_for(lambda: process.memory_info().rss <= memory, "the memory comes back")
