"""Runs the service on several versions of PostgreSQL, and behind PgBouncer.

`make test` runs the embedded version, directly and behind one pooler; `make matrix` runs all.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.matrix.versions import ALL, TREES, client
from tests.support.commands import installed
from tests.support.operations import GATE, ROLES, Operations, begin, wait_serving
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import PASSWORD, TcpPostgres
from tests.support.tcmb import Tcmb
from tests.support.waiting import wait_until

pytestmark = pytest.mark.service

POOLED = pytest.mark.needs("pgbouncer")
ROUTES = [
    "direct",
    pytest.param("session", marks=POOLED),
    *([pytest.param("transaction", marks=POOLED)] if ALL else []),
]
LEADS = "\naliaport_currency_sync_leader 1"
TABLES = {
    table: f"SELECT count(*), md5(string_agg(row::text, ',' ORDER BY row::text)) FROM {table} row"
    for table in (
        "aliaport_operations_users",
        "aliaport_operations_gate_logs",
        "aliaport_currency_bulletins",
        "aliaport_currency_rates",
    )
}


@dataclass
class Place:
    """A fresh database of one version, and the URL that the service gets."""

    version: str
    route: str
    server: TcpPostgres
    database: str
    url: str

    @property
    def direct(self) -> str:
        return self.server.dsn(database=self.database)

    @property
    def keeps_sessions(self) -> bool:
        return self.route != "transaction"


@pytest.fixture(scope="module", params=sorted(TREES))
def versioned(request: pytest.FixtureRequest) -> Iterator[tuple[str, TcpPostgres]]:
    server = TcpPostgres(TREES[request.param], max_connections="60")
    yield request.param, server
    server.remove()


@pytest.fixture(params=ROUTES)
def place(request: pytest.FixtureRequest, versioned: tuple[str, TcpPostgres]) -> Iterator[Place]:
    version, server = versioned
    assert server.version == int(version)
    database = server.new_database("matrix")
    direct = server.dsn(database=database)
    if request.param == "direct":
        yield Place(version, "direct", server, database, direct)
        return
    pooler = PgBouncer(direct, {"pool_mode": request.param})
    yield Place(version, request.param, server, database, pooler.dsn())
    pooler.remove()


def test_the_service_works_on_this_database(place: Place, tcmb: Tcmb, tmp_path: Path) -> None:
    today = date.today()
    days = [today - timedelta(days=back) for back in range(1, 15)]
    tcmb.publish(*days)
    options = {
        "ALIAPORT_SELECTION__ALLOW": '["db", "operations", "currency_sync"]',
        "ALIAPORT_PLUGINS__CURRENCY_SYNC__SOURCE": tcmb.address,
        "ALIAPORT_PLUGINS__CURRENCY_SYNC__REQUEST_INTERVAL": "0",
        "ALIAPORT_PLUGINS__CURRENCY_SYNC__FIRST_DAY": str(days[-1]),
        # Today's bulletin, or tomorrow's after midnight, would be missed.
        "ALIAPORT_PLUGINS__CURRENCY_SYNC__EXTRA_HOLIDAYS": json.dumps(
            [str(today), str(today + timedelta(days=1))]
        ),
    }
    migrated = migrate(place.url, options, tmp_path)
    assert migrated.returncode == 0, migrated.stderr

    with ExitStack() as stack:
        replicas = []
        for name in ("first", "second"):
            service = begin(
                place.server, place.database, tmp_path / name, **options, DATABASE_URL=place.url
            )
            stack.callback(service.kill)
            replicas.append(Operations(service, place.server, place.database))
        for replica in replicas:
            wait_serving(replica.service)
        first, second = replicas
        for role in ROLES:
            first.tokens[role] = second.tokens[role] = first.token(first.add_user(role, role))
        for replica in replicas:
            replica.data("POST", GATE, {"direction": "in", "plate": "34 ABC 123"})
        assert len(second.data("GET", GATE)["items"]) == 2
        if place.keeps_sessions:
            wait_until(lambda: has_all_rates(first, second), "one replica stores all rates")
        else:
            for replica in replicas:
                wait_until(lambda: is_refused(replica), "the lock is refused")
        ready = first.service.get("/ready")
        assert (ready.status, ready.json["data"]["database"]) == (200, "connected"), ready.text

    restored = place.server.new_database("restored")
    dump = tmp_path / "dump"
    run_client("pg_dump", place, "--format=custom", f"--file={dump}", f"--dbname={place.direct}")
    run_client(
        "pg_restore",
        place,
        *("--exit-on-error", "--no-owner"),
        f"--dbname={place.server.dsn(database=restored)}",
        str(dump),
    )
    for table, content in TABLES.items():
        original = place.server.sql(content, place.database)
        assert place.server.sql(content, restored) == original, table


def migrate(url: str, options: dict[str, str], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*installed("aliaport"), "migrate"],
        env={"PATH": "/usr/bin:/bin", "DATABASE_URL": url, **options},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


def has_all_rates(*replicas: Operations) -> bool:
    pages = [replica.service.get("/metrics").text for replica in replicas]
    stored = [page for page in pages if "\naliaport_currency_sync_missed_bulletins 0" in page]
    return len(stored) == len(pages) and sum(LEADS in page for page in pages) == 1


def is_refused(replica: Operations) -> bool:
    failed = [event for event in replica.service.events() if event["message"] == "job.failed"]
    assert LEADS not in replica.service.get("/metrics").text
    return any("server session of its own" in json.dumps(event) for event in failed)


def run_client(name: str, place: Place, *arguments: str) -> None:
    done = subprocess.run(
        [*client(name, place.version), *arguments],
        env={"PATH": "/usr/bin:/bin", "PGPASSWORD": PASSWORD},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
