"""An upgrade that changes tables in use: two replicas are replaced under traffic, no request fails."""

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
from aliaport_operations.schema import MIGRATIONS

from tests.support.operations import (
    CARI,
    GATE,
    ORDER,
    PATIENT,
    ROLES,
    Operations,
    begin,
    wait_serving,
)
from tests.support.operations_clerks import Clerks
from tests.support.operations_locks import held
from tests.support.postgres import TcpPostgres

OPTIONS = PATIENT | {
    "ALIAPORT_APPS__OPERATIONS__POOL_SIZE": "3",
    "ALIAPORT_SELECTION__REQUIRED": '["*"]',
    "ALIAPORT_DRAIN_SECONDS": "1",
}
NEWER = len(MIGRATIONS) + 1
TABLE = "aliaport_operations_work_orders"
# Python imports this module of the newer replicas at their start.
NEWER_VERSION = f'''
from aliaport.postgres import Migration
from aliaport_operations.schema import MIGRATIONS

MIGRATIONS.append(
    Migration({NEWER}, "berths", """
        ALTER TABLE {TABLE} ADD COLUMN berth text NOT NULL DEFAULT 'none';
        CREATE INDEX {TABLE}_berth ON {TABLE} (berth);
        ALTER TABLE aliaport_operations_gate_logs ADD COLUMN berth text;
        ALTER TABLE aliaport_operations_work_order_changes ADD COLUMN berth text;
        ALTER TABLE aliaport_operations_accounts ADD COLUMN berth text;
        ALTER TABLE aliaport_operations_users ADD COLUMN berth text;
    """)
)
'''


@pytest.mark.timeout(300)
def test_an_upgrade_with_a_migration_fails_no_request(server: TcpPostgres, tmp_path: Path) -> None:
    database, tokens = server.new_database("upgraded"), dict[str, str]()
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(NEWER_VERSION)
    newer = OPTIONS | {"PYTHONPATH": str(tmp_path / "site")}
    with ExitStack() as stack:

        def started(name: str, options: dict[str, str]) -> Operations:
            service = begin(server, database, tmp_path / name, **options)
            stack.callback(service.kill)
            return Operations(service, server, database, tokens)

        old = [started(name, OPTIONS) for name in ("a", "b")]
        for replica in old:
            wait_ready(replica)
        for role in ROLES:
            tokens[role] = old[0].token(old[0].add_user(role, role))
        clerks = Clerks(1, old[0].account()["id"], old)
        with clerks.at_work():
            clerks.wait_for_responses(50)
            read_all(old)
            with held(old[0], f"LOCK TABLE {TABLE} IN ACCESS SHARE MODE"):  # such as a backup
                first = started("c", newer)
                wait_until_blocked(first)
                assert first.service.get("/ready").status == 503
                clerks.wait_for_responses(50)
            wait_ready(first)
            read_all([*old, first])
            replace(clerks, old[0], [old[1], first])
            second = started("d", newer)
            wait_ready(second)
            replace(clerks, old[1], [first, second])
            clerks.finish()
        clerks.check(second)
        assert (clerks.lost, clerks.shed) == (0, 0), "no request failed"
        for replica in (first, second):
            section = replica.service.get("/status").json["data"]["operations"]
            assert section["schema_version"] == NEWER
        applied = [event["number"] for event in first.service.events("migration.applied")]
        assert applied == [NEWER]


def wait_until_blocked(replica: Operations) -> None:
    """Wait until the migration waits for the table; the plugin or the application applies it."""

    def blocked() -> bool:
        reasons = [event["reason"] for event in replica.service.events("migration.waiting")]
        return f"migration {NEWER} (berths) of operations waits for tables that" in str(reasons)

    replica.service.wait_for(blocked, "the migration waits for the table")


def wait_ready(replica: Operations) -> None:
    service = replica.service
    wait_serving(service)
    service.wait_for(lambda: service.get("/ready").status == 200, "/ready is 200")


def read_all(replicas: list[Operations]) -> None:
    """Read from each table, so that each replica has prepared its statements."""
    for replica in replicas:
        for path in (CARI, ORDER, GATE, f"{ORDER}/1/history", "/auth/me"):
            assert replica.get(path).status == 200, path
        assert replica.sign_in("clerk").status == 200


def replace(clerks: Clerks, leaving: Operations, staying: list[Operations]) -> None:
    """Let all replicas serve, take one out of rotation, and stop it."""
    clerks.replicas = [leaving, *staying]
    clerks.wait_for_responses(50)
    clerks.replicas = staying
    leaving.service.signal(signal.SIGTERM)
    clerks.wait_for_responses(50)
    assert leaving.service.wait_ended() == 0
    assert "request.failed" not in [event["message"] for event in leaving.service.events()]
