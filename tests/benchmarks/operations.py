"""The operations API under mixed load, against all baselines of the specification at once.

`python -m tests.benchmarks.operations [ACCOUNTS]`, by default 100,000.
"""

import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from tests.benchmarks.load import load
from tests.benchmarks.open_loop import Shot, Volley, fire
from tests.benchmarks.rows import head, row
from tests.support.operations import CARI, ORDER, PASSWORD, Operations, serve
from tests.support.postgres import TcpPostgres
from tests.support.service import free_port
from tests.support.waiting import wait_until

ACCOUNTS = 100_000
RATES = (200, 150, 100, 75, 50, 25)
"""Requests per second that are tried, until all baselines hold."""

SECONDS = 30.0
USERS = 20
GOALS = {
    "GET /api/cari": 300,
    "POST /api/cari": 200,
    "GET /api/work-order": 400,
    "POST /auth/login": 200,
    "GET /health": 50,
}
"""p95 in milliseconds."""

SHARES = {
    "GET /api/cari": 40,
    "POST /api/cari": 10,
    "GET /api/work-order": 25,
    "POST /api/work-order": 10,
    "POST /auth/login": 3,
    "GET /health": 12,
}
_WORDS = ("iskenderun", "isparta nak", "çelik", "lojistik mersin", "gum mus", "ordu", "0042")
_BUCKET = re.compile(
    r'aliaport_db_query_duration_seconds_bucket\{component="operations_api",le="([^"]+)"\} (\S+)'
)


class Mix:
    """Generates requests by their shares, from seeded random numbers."""

    def __init__(self, operations: Operations, accounts: int) -> None:
        self._chance = random.Random(1)
        self._accounts = accounts
        self._number = 0
        ids = operations.sql(
            "SELECT id FROM aliaport_operations_accounts WHERE deactivated_at IS NULL LIMIT 5000"
        )
        self._active = [int(line) for line in ids.splitlines()]
        names = [operations.add_user(f"user{number}") for number in range(USERS)]
        self._tokens = [operations.token(name) for name in names]
        self._make: dict[str, Callable[[], bytes]] = {
            "GET /api/cari": self._list_accounts,
            "POST /api/cari": self._create_account,
            "GET /api/work-order": self._list_orders,
            "POST /api/work-order": self._create_order,
            "POST /auth/login": self._login,
            "GET /health": lambda: b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
        }

    def shots(self, rate: float, seconds: float) -> list[Shot]:
        """Return requests of a Poisson process at this rate."""
        found, at = [], 0.0
        while (at := at + self._chance.expovariate(rate)) < seconds:
            (kind,) = self._chance.choices(list(SHARES), list(SHARES.values()))
            found.append(Shot(at, kind, self._make[kind]()))
        return found

    def _request(self, method: str, path: str, body: object = None) -> bytes:
        token = self._chance.choice(self._tokens)
        lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {token}"]
        data = b""
        if body is not None:
            data = json.dumps(body).encode()
            lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
        return "\r\n".join([*lines, "", ""]).encode() + data

    def _list_accounts(self) -> bytes:
        queries = (
            "",
            "?sort=title",
            f"?q={quote(self._chance.choice(_WORDS))}",
            f"?q={quote(self._chance.choice(_WORDS))}&kind=customer&state=active&sort=title",
            f"?q={self._chance.randrange(1, self._accounts)}",
        )
        return self._request("GET", CARI + self._chance.choice(queries))

    def _create_account(self) -> bytes:
        self._number += 1
        code = f"B-{self._chance.randrange(10**12):012}-{self._number}"
        body = {"code": code, "title": f"Ölçüm {code}", "kind": "both", "currency": "EUR"}
        return self._request("POST", CARI, body)

    def _list_orders(self) -> bytes:
        account = self._chance.randrange(1, self._accounts + 1)
        queries = ("", "?status=planned", f"?account_id={account}", "?limit=100")
        return self._request("GET", ORDER + self._chance.choice(queries))

    def _create_order(self) -> bytes:
        account = self._chance.choice(self._active)
        return self._request("POST", ORDER, {"account_id": account, "title": "Ölçüm"})

    def _login(self) -> bytes:
        body = {"username": f"user{self._chance.randrange(USERS)}", "password": PASSWORD}
        return self._request("POST", "/auth/login", body)


class PoolWatch(threading.Thread):
    """Samples the pool twice a second; `shares` are the used parts of it."""

    def __init__(self, operations: Operations) -> None:
        super().__init__(daemon=True)
        self.shares: list[float] = []
        self._operations = operations
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.5):
            used, most = (
                self._operations.metric(f'aliaport_db_pool_{gauge}{{component="operations_api"}}')
                for gauge in ("used", "max")
            )
            self.shares.append(used / most)

    def end(self) -> float:
        """Stop, and return the 95th percentile."""
        self._ended.set()
        self.join()
        return sorted(self.shares)[int(len(self.shares) * 0.95)]


def main(accounts: int = ACCOUNTS) -> None:
    server = TcpPostgres(
        fsync="on", shared_buffers="256MB", max_wal_size="2GB", max_connections="50"
    )
    try:
        with tempfile.TemporaryDirectory() as folder, serve(
            server,
            Path(folder) / "run",
            ALIAPORT_APPS__OPERATIONS__FAILURES_PER_ADDRESS="100000",
            ALIAPORT_PLUGINS__OPERATIONS__TOTALS_INTERVAL="30",
        ) as operations:  # fmt: skip
            seed(operations, accounts)
            mixed(operations, accounts)
            against_bare(operations)
    finally:
        server.remove()


def seed(operations: Operations, accounts: int) -> None:
    began = time.perf_counter()
    done = operations.command("seed", "--accounts", str(accounts), patience=3600)
    assert done.returncode == 0, done.stderr
    seconds = time.perf_counter() - began
    row(f"operations: seed of {accounts:,} accounts, {7 * accounts:,} rows", f"{seconds:.0f} s")


def mixed(operations: Operations, accounts: int) -> None:
    mix = Mix(operations, accounts)
    fire(operations.service.port, mix.shots(25, 5.0))
    for rate in RATES:
        before = _buckets(operations)
        watch = PoolWatch(operations)
        watch.start()
        volley = fire(operations.service.port, mix.shots(rate, SECONDS))
        pool = watch.end()
        query = _quantile(before, _buckets(operations), 0.95)
        if rate == RATES[-1] or _holds(volley, query, pool):
            break
    done = sum(map(len, volley.latencies.values())) / volley.seconds
    failed = sum(n for (_, status), n in volley.statuses.items() if status >= 400)
    load_text = f"{accounts:,} accounts, {done:.0f} requests per second"
    row(f"operations, {load_text}: refused or failed", str(failed), "0", failed == 0)
    for kind, goal in GOALS.items():
        ms = volley.percentile(kind, 0.95) * 1000
        row(f"operations, {load_text}: p95 of {kind}", f"{ms:.0f} ms", f"{goal} ms", ms < goal)
    row(
        f"operations, {load_text}: p95 of the statements",
        f"at most {query * 1000:g} ms",
        "100 ms",
        query <= 0.1,
    )
    row(
        f"operations, {load_text}: p95 of the pool in use",
        f"{pool:.0%}",
        "80%",
        pool < 0.8,
    )


def against_bare(operations: Operations) -> None:
    port = free_port()
    dsn = operations.server.dsn(database=operations.database)
    rival = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.plain_accounts", str(port), dsn]
    )
    token = f"Authorization: Bearer {operations.tokens['clerk']}\r\n"
    try:
        wait_until(lambda: _responds(port), "the rival responds")
        ratios, own, plain = [], [], []
        for _ in range(5):
            theirs = load(port, "/accounts", connections=16, seconds=4.0)
            ours = load(operations.service.port, CARI, connections=16, seconds=4.0, headers=token)
            ratios.append(ours.per_second / theirs.per_second)
            own.append(ours.per_second)
            plain.append(theirs.per_second)
    finally:
        rival.kill()
        rival.wait()
    result = (
        f"{statistics.median(ratios):.2f} ({statistics.median(own):,.0f} to "
        f"{statistics.median(plain):,.0f} per second)"
    )
    row("operations: first page of /api/cari to a bare handler without sign-in", result)


def _holds(volley: Volley, query: float, pool: float) -> bool:
    fast = all(volley.percentile(kind, 0.95) * 1000 < goal for kind, goal in GOALS.items())
    good = all(status < 400 for _, status in volley.statuses)
    return fast and good and query <= 0.1 and pool < 0.8


def _buckets(operations: Operations) -> dict[float, float]:
    page = operations.service.get("/metrics").text
    return {float(bound): float(count) for bound, count in _BUCKET.findall(page)}


def _quantile(before: dict[float, float], after: dict[float, float], share: float) -> float:
    """Return the upper bound of the quantile's bucket, in seconds."""
    grown = {bound: after[bound] - before.get(bound, 0.0) for bound in after}
    total = grown[float("inf")]
    return min(bound for bound, count in grown.items() if count >= share * total)


def _responds(port: int) -> bool:
    try:
        load(port, "/accounts", connections=1, seconds=0.1)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    head()
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ACCOUNTS)
