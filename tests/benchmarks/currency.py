"""Ten years of backfill, and the rates endpoint, each against a plain rival in the same run."""

import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from aliaport_currency_sync.business_days import BusinessDays

from tests.benchmarks.load import load
from tests.benchmarks.rows import row
from tests.support.postgres import TcpPostgres
from tests.support.service import free_port, start
from tests.support.tcmb import Tcmb
from tests.support.waiting import wait_until

FIRST, LAST = date(2016, 11, 24), date(2026, 11, 24)
COMMAND = str(Path(sys.executable).with_name("aliaport-currency-sync"))
ROUNDS = 5
SECONDS = 4.0


def main() -> None:
    server, tcmb = TcpPostgres(), Tcmb()
    days = list(BusinessDays().open_days(FIRST, LAST))
    for number, day in enumerate(days):
        tcmb.publish(day, percent=number / 20)
    try:
        backfill(server, tcmb, len(days))
        rates(server, tcmb)
    finally:
        tcmb.stop()
        server.remove()


def backfill(server: TcpPostgres, tcmb: Tcmb, bulletins: int) -> None:
    span = (str(FIRST), str(LAST))
    plain = _timed(
        [sys.executable, "-m", "tests.benchmarks.plain_backfill", tcmb.address, server.dsn(), *span]
    )
    command = [COMMAND, "backfill", "--from", span[0], "--to", span[1]]
    environ = {
        "PATH": "/usr/bin:/bin",
        "DATABASE_URL": server.dsn(),
        "ALIAPORT_PLUGINS__CURRENCY_SYNC__SOURCE": tcmb.address,
        "ALIAPORT_PLUGINS__CURRENCY_SYNC__REQUEST_INTERVAL": "0",
    }
    own = _timed(command, environ)
    again = _timed(command, environ)
    stored = server.sql("SELECT count(*) FROM aliaport_currency_bulletins")
    assert stored == str(bulletins), f"{stored} of {bulletins} bulletins were stored"
    result = (
        f"{own / plain:.1f} ({own:.1f} s to {plain:.1f} s for {bulletins:,} bulletins; "
        f"again {again:.1f} s)"
    )
    what = "currency: ten years of backfill to a plain script without checks, revisions, flags"
    row(what, result)


def rates(server: TcpPostgres, tcmb: Tcmb) -> None:
    port = free_port()
    rival = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.plain_rates", str(port), server.dsn()]
    )
    with tempfile.TemporaryDirectory() as folder:
        service = start(
            Path(folder),
            allow=["currency_sync"],
            environ={
                "DATABASE_URL": server.dsn(),
                "ALIAPORT_PLUGINS__CURRENCY_SYNC__SOURCE": tcmb.address,
                "ALIAPORT_PLUGINS__CURRENCY_SYNC__FIRST_DAY": str(LAST),
            },
        )
        try:
            service.wait_started()
            path = f"/rates?date={LAST}"
            wait_until(lambda: _responds(port, path), "the rival responds")
            ratios, own, plain = [], [], []
            for _ in range(ROUNDS):
                theirs = load(port, path, connections=16, seconds=SECONDS)
                ours = load(service.port, f"/api/currency{path}", connections=16, seconds=SECONDS)
                ratios.append(ours.per_second / theirs.per_second)
                own.append(ours)
                plain.append(theirs)
        finally:
            for process in (service.process, rival):
                process.kill()
                process.wait()
    ratio = statistics.median(ratios)
    speeds = [statistics.median(load.per_second for load in side) for side in (own, plain)]
    p95s = [
        statistics.median(load.percentile(0.95) * 1000 for load in side) for side in (own, plain)
    ]
    result = (
        f"{ratio:.1f} ({speeds[0]:,.0f} to {speeds[1]:,.0f} per second, "
        f"p95 {p95s[0]:.1f} to {p95s[1]:.1f} ms)"
    )
    what = "currency: /api/currency/rates to a bare handler that reads the pool, 16 connections"
    row(what, result)


def _timed(command: list[str], environ: dict[str, str] | None = None) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, env=environ, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _responds(port: int, path: str) -> bool:
    try:
        load(port, path, connections=1, seconds=0.1)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
