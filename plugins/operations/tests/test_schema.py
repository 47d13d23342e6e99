"""Tests of the tables: their constraints, their creation, and their versions."""

from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aliaport_operations.order_fields import CHANGEABLE, FIRST, TRANSITIONS, OrderStatus
from aliaport_operations.schema import MIGRATIONS

from tests.support.operations import Operations, begin, wait_serving
from tests.support.postgres import TcpPostgres
from tests.support.service import Service

ALLOWED = {(str(before), str(after)) for before, after in TRANSITIONS}
HASH = "sha256('x')"
NOW = "now()"
GOOD: dict[str, dict[str, Any]] = {
    "users": {"name": "'deneme.1'", "role": "'clerk'", "password_hash": "'x'"},
    "sessions": {
        "token_hash": HASH,
        "user_id": "{user}",
        "address": "'192.0.2.1'",
        "expires_at": "now() + interval '1 hour'",
    },
    "sign_in_failures": {"key": HASH, "failures": "1", "since": NOW},
    "accounts": {
        "code": "'T-1'",
        "title": "'Deneme 1'",
        "title_key": "'deneme 1'",
        "words": "''",
        "kind": "'both'",
        "tax_number": "'1234567890'",
        "currency": "'TRY'",
        "contact_person": "'x'",
        "contact_phone": "'12345'",
        "contact_email": "'a@b'",
        "created_by": "{user}",
        "changed_by": "{user}",
    },
    "transitions": {"from_status": "'draft'", "to_status": "'done'"},
    "work_orders": {
        "account_id": "{account}",
        "title": "'Tahliye'",
        "first_status": "'draft'",
        "status": "'draft'",
        "created_by": "{user}",
        "changed_by": "{user}",
    },
    "work_order_changes": {
        "work_order_id": "{order}",
        "version": "2",
        "from_status": "'draft'",
        "to_status": "'planned'",
        "changed_by": "{user}",
    },
    "gate_logs": {
        "direction": "'in'",
        "plate": "'34ABC123'",
        "driver": "'x'",
        "passed_at": NOW,
        "work_order_id": "{order}",
        "created_by": "{user}",
    },
    "idempotency_keys": {"user_id": "{user}", "key": "'k'", "request_hash": HASH},
}
CHECK, KEY, UNIQUE = "violates check", "violates foreign key", "violates unique"
NULL = "violates not-null"
WRONG: list[tuple[str, dict[str, str], str]] = [
    ("users", {"name": "'Deneme'"}, CHECK),
    ("users", {"name": "'d'"}, CHECK),
    ("users", {"name": "repeat('d', 33)"}, CHECK),
    ("users", {"name": "E'deneme\\n'"}, CHECK),
    ("users", {"name": "'clerk'"}, UNIQUE),
    ("users", {"role": "'root'"}, CHECK),
    ("users", {"password_hash": "NULL"}, NULL),
    ("sessions", {"token_hash": "'x'"}, CHECK),
    ("sessions", {"user_id": "0"}, KEY),
    ("sessions", {"expires_at": NOW}, CHECK),
    ("sign_in_failures", {"failures": "-1"}, CHECK),
    ("accounts", {"code": "'t-1'"}, CHECK),
    ("accounts", {"code": "''"}, CHECK),
    ("accounts", {"code": "repeat('T', 33)"}, CHECK),
    ("accounts", {"code": "E'T-1\\n'"}, CHECK),
    ("accounts", {"code": "'TAKEN'"}, UNIQUE),
    ("accounts", {"title": "''"}, CHECK),
    ("accounts", {"title": "repeat('x', 201)"}, CHECK),
    ("accounts", {"title": "NULL"}, NULL),
    ("accounts", {"title_key": "NULL"}, NULL),
    ("accounts", {"words": "NULL"}, NULL),
    ("accounts", {"kind": "'enemy'"}, CHECK),
    ("accounts", {"tax_number": "'123456789'"}, CHECK),
    ("accounts", {"tax_number": "'01234567890'"}, CHECK),
    ("accounts", {"tax_number": "'123456789012'"}, CHECK),
    ("accounts", {"tax_number": "'12345678x0'"}, CHECK),
    ("accounts", {"currency": "'try'"}, CHECK),
    ("accounts", {"currency": "'LIRA'"}, CHECK),
    ("accounts", {"contact_person": "''"}, CHECK),
    ("accounts", {"contact_person": "repeat('x', 101)"}, CHECK),
    ("accounts", {"contact_phone": "'1234'"}, CHECK),
    ("accounts", {"contact_phone": "repeat('1', 31)"}, CHECK),
    ("accounts", {"contact_email": "'a@'"}, CHECK),
    ("accounts", {"contact_email": "repeat('a', 255)"}, CHECK),
    ("accounts", {"version": "0"}, CHECK),
    ("accounts", {"created_by": "0"}, KEY),
    ("accounts", {"changed_by": "0"}, KEY),
    ("accounts", {"created_by": "NULL"}, NULL),
    ("transitions", {"to_status": "'planned'"}, UNIQUE),
    ("work_orders", {"account_id": "0"}, KEY),
    ("work_orders", {"account_id": "NULL"}, NULL),
    ("work_orders", {"title": "''"}, CHECK),
    ("work_orders", {"title": "repeat('x', 201)"}, CHECK),
    ("work_orders", {"description": "repeat('x', 4001)"}, CHECK),
    ("work_orders", {"first_status": "'done'", "status": "'done'"}, CHECK),
    ("work_orders", {"first_status": "'lost'", "status": "'lost'"}, CHECK),
    ("work_orders", {"status": "'planned'"}, "begins with its first status"),
    ("work_orders", {"version": "0"}, CHECK),
    ("work_orders", {"created_by": "0"}, KEY),
    ("work_orders", {"changed_by": "0"}, KEY),
    ("work_order_changes", {"work_order_id": "0"}, KEY),
    ("work_order_changes", {"version": "1"}, CHECK),
    ("work_order_changes", {"to_status": "'done'"}, KEY),
    ("work_order_changes", {"reason": "repeat('x', 501)"}, CHECK),
    ("work_order_changes", {"changed_by": "0"}, KEY),
    ("gate_logs", {"direction": "'through'"}, CHECK),
    ("gate_logs", {"plate": "'34 ABC 123'"}, CHECK),
    ("gate_logs", {"plate": "'34abc123'"}, CHECK),
    ("gate_logs", {"plate": "'3'"}, CHECK),
    ("gate_logs", {"plate": "repeat('A', 16)"}, CHECK),
    ("gate_logs", {"plate": "NULL"}, CHECK),
    ("gate_logs", {"plate": "NULL", "purged_at": NOW}, CHECK),
    ("gate_logs", {"purged_at": NOW}, CHECK),
    ("gate_logs", {"driver": "''"}, CHECK),
    ("gate_logs", {"driver": "repeat('x', 101)"}, CHECK),
    ("gate_logs", {"passed_at": "now() + interval '5 minutes 1 second'"}, CHECK),
    ("gate_logs", {"passed_at": "NULL"}, NULL),
    ("gate_logs", {"work_order_id": "0"}, KEY),
    ("gate_logs", {"corrects": "0"}, KEY),
    ("gate_logs", {"id": "900", "corrects": "900"}, CHECK),
    ("gate_logs", {"id": "900", "corrects": "901"}, CHECK),
    ("gate_logs", {"corrects": "{corrected}"}, UNIQUE),
    ("gate_logs", {"created_by": "0"}, KEY),
    ("idempotency_keys", {"user_id": "0"}, KEY),
    ("idempotency_keys", {"key": "''"}, CHECK),
    ("idempotency_keys", {"key": "repeat('k', 101)"}, CHECK),
    ("idempotency_keys", {"key": "'taken'"}, UNIQUE),
    ("idempotency_keys", {"request_hash": "NULL"}, NULL),
]


@pytest.fixture(scope="module")
def places(api: Operations) -> dict[str, str]:
    """Create the rows that others refer to, and rows with unique values; return their IDs."""
    user = api.sql("SELECT id FROM aliaport_operations_users WHERE name = 'clerk'")
    account = api.account(code="TAKEN")["id"]
    order = api.order(account_id=account)["id"]
    body = {"direction": "in", "plate": "34 ABC 123"}
    headers = {"Idempotency-Key": "taken"}
    wrong = api.data("POST", "/api/gate-log", body, headers=headers)["id"]
    api.data("POST", "/api/gate-log", body | {"corrects": wrong})
    return {"user": user, "account": account, "order": order, "corrected": wrong}


def insertion(table: str, places: dict[str, str], changes: dict[str, str]) -> str:
    row = {name: value.format(**places) for name, value in (GOOD[table] | changes).items()}
    return (
        f"INSERT INTO aliaport_operations_{table} ({', '.join(row)}) "
        f"OVERRIDING SYSTEM VALUE VALUES ({', '.join(row.values())})"
    )


def refusal(api: Operations, *statements: str) -> str:
    """Run statements, roll them back, and return the error of the database or ''."""
    try:
        api.sql(f"BEGIN; {'; '.join(statements)}; ROLLBACK")
    except asyncpg.PostgresError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("table", GOOD)
def test_a_valid_row_is_accepted(api: Operations, places: dict[str, str], table: str) -> None:
    assert refusal(api, insertion(table, places, {})) == ""


@pytest.mark.parametrize(
    ("table", "changes", "reason"),
    WRONG,
    ids=[f"{table}-{'-'.join(changes.values())}" for table, changes, _ in WRONG],
)
def test_an_invalid_row_is_refused(
    api: Operations, places: dict[str, str], table: str, changes: dict[str, str], reason: str
) -> None:
    assert reason in refusal(api, insertion(table, places, changes))


def test_every_check_constraint_is_tested_here(api: Operations) -> None:
    columns = (
        "SELECT replace(t.relname, 'aliaport_operations_', ''), "
        "string_agg(a.attname, ' ' ORDER BY a.attnum) FROM pg_constraint c "
        "JOIN pg_class t ON t.oid = c.conrelid "
        "JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = ANY(c.conkey) "
        "WHERE c.contype = 'c' AND t.relname LIKE 'aliaport_operations_%' "
        "GROUP BY c.oid, t.relname"
    )
    tried = [(table, set(changes)) for table, changes, reason in WRONG if reason == CHECK]
    for row in api.sql(columns).splitlines():
        table, names = row.split("|")
        assert any(
            table == tried_table and used & set(names.split()) for tried_table, used in tried
        ), row


def test_the_database_and_the_program_allow_the_same_transitions(api: Operations) -> None:
    rows = api.sql("SELECT * FROM aliaport_operations_transitions").splitlines()
    assert {tuple(row.split("|")) for row in rows} == ALLOWED
    assert {before for before, _ in TRANSITIONS} == set(CHANGEABLE)
    assert set(OrderStatus) == {*FIRST, *(after for _, after in TRANSITIONS)}


@pytest.mark.parametrize("before", OrderStatus)
def test_sql_can_change_the_status_only_by_allowed_transitions(
    api: Operations, places: dict[str, str], before: OrderStatus
) -> None:
    steps = {
        "draft": (), "planned": ("planned",), "in_progress": ("planned", "in_progress"),
        "done": ("planned", "in_progress", "done"), "cancelled": ("cancelled",),
    }  # fmt: skip

    def update(status: str) -> str:
        return (
            f"UPDATE aliaport_operations_work_orders SET status = '{status}', "
            f"version = version + 1 WHERE id = {places['order']}"
        )

    updates = [update(status) for status in steps[before]]
    for after in OrderStatus:
        error = refusal(api, *updates, update(after))
        if before == after or (before, after) in ALLOWED:
            assert error == "", (before, after)
        else:
            assert "no such transition" in error, (before, after)
    assert "no such transition" in refusal(api, *updates, update("lost"))


@pytest.mark.parametrize(
    "change",
    [
        "version = version",
        "version = version + 2",
        "version = version - 1",
        "title = 'x'",
        "version = version + 1, first_status = 'planned'",
    ],
)
def test_a_change_of_an_order_must_raise_its_version_by_one(
    api: Operations, places: dict[str, str], change: str
) -> None:
    update = f"UPDATE aliaport_operations_work_orders SET {change} WHERE id = {places['order']}"
    assert "raises the version by one" in refusal(api, update)


@pytest.mark.parametrize(
    ("table", "row"), [("users", "user"), ("accounts", "account"), ("work_orders", "order")]
)
def test_a_referenced_row_cannot_be_deleted(
    api: Operations, places: dict[str, str], table: str, row: str
) -> None:
    delete = f"DELETE FROM aliaport_operations_{table} WHERE id = {places[row]}"
    assert KEY in refusal(api, insertion("gate_logs", places, {}), delete)


def responds(service: Service) -> bool:
    return service.get("/auth/me").status == 401


def test_three_replicas_create_the_tables_of_one_empty_database(
    server: TcpPostgres, tmp_path: Path
) -> None:
    database = server.new_database("replicas")
    services = [begin(server, database, tmp_path / str(number)) for number in range(3)]
    try:
        for service in services:
            wait_serving(service)
        applied = "SELECT number, name, checksum FROM aliaport_migrations ORDER BY number"
        rows = server.sql(applied, database).splitlines()
        assert rows == [f"{x.number}|{x.name}|{x.checksum}" for x in MIGRATIONS]
        for service in services:
            assert [
                event["message"] for event in service.events() if event["log.level"] == "error"
            ] == []
            page = service.get("/metrics").text
            assert 'aliaport_app_state{app="operations",state="running"} 1.0' in page
    finally:
        for service in services:
            service.process.kill()
            service.process.wait()


def probe(service: Service) -> tuple[str, str]:
    """Return the code and the summary of the probe `operations`."""
    found = service.get("/status").json["data"]["probes"]
    (row,) = [entry for entry in found if entry["name"] == "operations"]
    return row["code"], row["summary"]


NEEDED = len(MIGRATIONS)
NEWER = f"INSERT INTO aliaport_migrations VALUES ('operations', {NEEDED + 1}, 'later', 'x')"
BACK = f"DELETE FROM aliaport_migrations WHERE number = {NEEDED + 1}"


def test_the_probe_notices_when_another_replica_has_newer_tables(api: Operations) -> None:
    api.service.wait_for(lambda: probe(api.service)[0] == "ok", "the probe is healthy")
    api.sql(NEWER)
    try:
        api.service.wait_for(lambda: probe(api.service)[0] == "schema", "the probe notices")
        summary = f"the tables have version {NEEDED + 1}; this program needs {NEEDED}"
        assert probe(api.service)[1] == summary
        assert responds(api.service)
    finally:
        api.sql(BACK)
    api.service.wait_for(lambda: probe(api.service)[0] == "ok", "the probe is healthy again")


def test_a_program_older_than_its_database_reports_it_and_serves_nothing(
    api: Operations, tmp_path: Path
) -> None:
    api.sql(NEWER)
    required = {"ALIAPORT_SELECTION__REQUIRED": '["*"]'}
    service = begin(api.server, api.database, tmp_path / "old", **required)
    try:
        service.wait_listening()
        reasons = service.wait_for(
            lambda: [
                event.get("event.reason", "")
                for event in service.events()
                if event["log.level"] == "error"
            ],
            "the start has failed",
        )
        both = (
            f"version {NEEDED + 1} (later), this program knows version {NEEDED}; install the newer"
        )
        assert any(both in reason for reason in reasons), reasons
        service.wait_started()
        assert service.get("/auth/me").status == 503
        refused = service.get("/ready")
        assert refused.status == 503, "it gets no requests, although the database is well"
        assert "operations: starting" in refused.json["error"]["message"]
        # The service retries, and now finds the expected version.
        api.sql(BACK)
        service.wait_for(lambda: responds(service), "the application responds")
        service.wait_for(lambda: service.get("/ready").status == 200, "it is ready")
    finally:
        api.sql(BACK)
        service.process.kill()
        service.process.wait()
