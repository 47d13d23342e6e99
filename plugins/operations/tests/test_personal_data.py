"""Tests of personal data: who sees it, how long it is kept, and that no log contains it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.operations import CARI, GATE, Operations, replica, serve
from tests.support.operations_locks import held, wait_for_blocked
from tests.support.postgres import TcpPostgres

INTERVAL = {"ALIAPORT_PLUGINS__OPERATIONS__PURGE_INTERVAL": "1"}
ACCOUNTS, GATE_LOGS = "aliaport_operations_accounts", "aliaport_operations_gate_logs"
SECRETS = {
    "plate": "77XQJ7731",
    "driver": "Gizlisurucu Xqdriver",
    "tax_number": "4837261558",
    "person": "Gizlikisi Xqperson",
    "phone": "+90 532 7731 7732",
    "email": "xqmail.gizli@example.com",
}
CONTACT = {name: SECRETS[name] for name in ("person", "phone", "email")}


@pytest.fixture(scope="module")
def api(server: TcpPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operations]:
    folder = tmp_path_factory.mktemp("personal") / "run"
    with serve(server, folder, **INTERVAL) as operations:
        yield operations


def secret_account(api: Operations, **fields: Any) -> Any:
    return api.account(tax_number=SECRETS["tax_number"], contact=CONTACT, **fields)


def secret_passage(api: Operations, **fields: Any) -> Any:
    body = {"direction": "in", "plate": SECRETS["plate"], "driver": SECRETS["driver"]} | fields
    return api.data("POST", GATE, body)


def secrets_in(text: str) -> list[str]:
    """Return the names of the secrets in the text, ignoring case and spaces."""
    plain = "".join(text.lower().split())
    return [name for name, secret in SECRETS.items() if "".join(secret.lower().split()) in plain]


@pytest.mark.parametrize("role", ["clerk", "admin"])
def test_clerks_and_admins_see_personal_data(api: Operations, role: str) -> None:
    account, passage = secret_account(api), secret_passage(api)
    for path, created in (
        (f"{CARI}/{account['id']}", account),
        (f"{GATE}/{passage['id']}", passage),
    ):
        assert api.data("GET", path, role=role) == created
    assert account["contact"] == CONTACT
    assert account["tax_number"] == SECRETS["tax_number"]
    assert (passage["plate"], passage["driver"]) == (SECRETS["plate"], SECRETS["driver"])
    for path, query in (
        (CARI, {"tax_number": SECRETS["tax_number"]}),
        (GATE, {"plate": SECRETS["plate"]}),
    ):
        assert api.data("GET", path, role=role, **query)["items"] != []


def test_viewers_see_personal_data_masked_in_rows_and_in_lists(api: Operations) -> None:
    account, passage = secret_account(api), secret_passage(api)
    mask = {
        "tax_number": "***58",
        "contact": {"person": "G***", "phone": "***32", "email": "***"},
    }
    shown = api.data("GET", f"{CARI}/{account['id']}", role="viewer")
    assert shown == account | mask
    assert shown in api.data("GET", CARI, role="viewer", q=account["code"])["items"]
    shown = api.data("GET", f"{GATE}/{passage['id']}", role="viewer")
    assert shown == passage | {"plate": "77***", "driver": "G***"}
    assert shown in api.data("GET", GATE, role="viewer")["items"]


def test_a_mask_hides_the_length(api: Operations) -> None:
    for driver in ("G", "Ge", "Gizli" * 20):
        number = secret_passage(api, driver=driver)["id"]
        shown = api.data("GET", f"{GATE}/{number}", role="viewer")["driver"]
        assert shown == ("***" if driver == "G" else "G***")


def test_missing_values_are_null_for_viewers_too(api: Operations) -> None:
    account, passage = api.account(), secret_passage(api, driver=None)
    assert api.data("GET", f"{CARI}/{account['id']}", role="viewer") == account
    assert api.data("GET", f"{GATE}/{passage['id']}", role="viewer")["driver"] is None


def test_viewers_cannot_guess_by_searching(api: Operations) -> None:
    secret_account(api)
    secret_passage(api)
    for path, query in (
        (CARI, {"tax_number": SECRETS["tax_number"]}),
        (CARI, {"tax_number": "1234567890"}),
        (GATE, {"plate": SECRETS["plate"]}),
        (GATE, {"plate": "34 ABC 123"}),
    ):
        response = api.get(path, role="viewer", **query)
        assert response.status == 403
        assert response.json["error"]["code"] == "forbidden"
        assert secrets_in(response.text) == []
    for name in ("driver", "tax_number", "person", "phone", "email"):
        assert api.data("GET", CARI, role="viewer", q=SECRETS[name])["items"] == [], name


def test_no_error_echoes_personal_data(api: Operations) -> None:
    wrong = {"code": "t-1", "title": "x", "kind": "enemy", "tax_number": SECRETS["tax_number"]}
    for role, method, path, body in (
        ("viewer", "POST", CARI, wrong | {"contact": CONTACT}),
        ("clerk", "POST", CARI, wrong | {"contact": CONTACT}),
        ("clerk", "POST", CARI, wrong | {"contact": {"person": CONTACT, "email": "@@"}}),
        ("clerk", "POST", GATE, {"direction": "x", "plate": SECRETS["plate"] * 2}),
        ("clerk", "POST", GATE, {"direction": 1, "driver": [SECRETS["driver"]]}),
        ("clerk", "POST", GATE, f'{{"plate": "{SECRETS["plate"]}", x'.encode()),
    ):
        response = api.call(method, path, body, role=role)
        assert response.status in (400, 403, 422)
        assert secrets_in(response.text) == [], (role, path, body)


@contextmanager
def broken(api: Operations, table: str) -> Iterator[None]:
    """Make the database refuse rows of a table with a message that contains them."""
    api.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'cannot write %', NEW; END$$;"
        f"CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    try:
        yield
    finally:
        api.sql("DROP FUNCTION refuse() CASCADE")


def test_no_log_contains_personal_data_whatever_fails(api: Operations) -> None:
    account, passage = secret_account(api), secret_passage(api)
    account_body = {
        "title": "Deneme",
        "kind": "both",
        "tax_number": SECRETS["tax_number"],
        "contact": CONTACT,
    }
    passage_body = {"direction": "in", "plate": SECRETS["plate"], "driver": SECRETS["driver"]}
    path, taken = f"{CARI}/{account['id']}", {"code": account["code"]}
    key = {"Idempotency-Key": SECRETS["driver"]}
    seen = set()

    def send(method: str, path: str, body: Any = None, **options: Any) -> None:
        seen.add(api.call(method, path, body, **options).status)

    send("GET", CARI, tax_number=SECRETS["tax_number"])
    send("GET", CARI, tax_number=SECRETS["tax_number"], role="viewer")
    send("GET", CARI, tax_number=SECRETS["tax_number"], limit=0)
    send("GET", CARI, q=SECRETS["person"])
    send("GET", GATE, plate=SECRETS["plate"])
    send("GET", GATE, plate=SECRETS["plate"], role="viewer")
    send("GET", GATE, plate=SECRETS["plate"], after="x")
    send("GET", GATE, driver=SECRETS["driver"])
    send("GET", GATE, plate=SECRETS["plate"], role=None)
    send("POST", CARI, account_body | taken)
    send("POST", CARI, account_body | {"code": SECRETS["plate"].lower()})
    send("PUT", path, account_body | taken | {"version": 1})
    send("PUT", path, account_body | taken | {"version": 1})
    send("POST", f"{path}/deactivate", {"version": 2}, role="admin")
    send("POST", GATE, passage_body, headers=key)
    send("POST", GATE, passage_body, headers=key)
    send("POST", GATE, passage_body | {"direction": "out"}, headers=key)
    send("POST", GATE, passage_body | {"corrects": passage["id"]})
    send("POST", GATE, passage_body | {"corrects": passage["id"]})
    send("POST", GATE, passage_body | {"corrects": 999_999_999})
    send("POST", GATE, passage_body | {SECRETS["plate"]: SECRETS["driver"]})
    send("POST", GATE, f'{{"plate": "{SECRETS["plate"]}", x'.encode())
    with broken(api, ACCOUNTS):
        send("POST", CARI, account_body | {"code": "GIZLI-1"})
        send("PUT", path, account_body | taken | {"version": 3})
    with broken(api, GATE_LOGS):
        send("POST", GATE, passage_body)
        send("POST", GATE, passage_body, headers={"Idempotency-Key": SECRETS["plate"]})
    assert seen == {200, 201, 400, 401, 403, 409, 422, 500}
    assert len(api.failures()) == 4
    for file in (*(api.service.folder / "logs").iterdir(), api.service.folder / "output.txt"):
        text = file.read_text()
        assert secrets_in(text) == [], f"{file.name} contains personal data"
    assert secrets_in(api.service.get("/metrics").text) == []
    assert secrets_in(api.service.get("/status").text) == []


def purged(api: Operations, table: str) -> float:
    return api.metric(f'aliaport_operations_purged_total{{table="{table}"}}')


def recorded(api: Operations, table: str) -> int:
    """Return the number of rows in the audit log."""
    events = api.service.events("personal_data.removed")
    return sum(int(event["rows"]) for event in events if event["table"] == table)


def old_passages(api: Operations, number: int, age: str) -> list[int]:
    rows = api.sql(
        f"INSERT INTO {GATE_LOGS} (direction, plate, driver, passed_at, created_by, created_at) "
        f"SELECT 'out', '{SECRETS['plate']}', 'Gizli', now() - interval '{age}', "
        f"(SELECT min(id) FROM aliaport_operations_users), now() - interval '{age}' "
        f"FROM generate_series(1, {number}) RETURNING id"
    )
    return [int(line) for line in rows.splitlines()]


def wait_purged(api: Operations, table: str, number: float) -> None:
    api.service.wait_for(lambda: purged(api, table) >= number, f"{number:g} {table} are purged")


def test_plate_and_driver_are_removed_from_old_gate_logs(api: Operations) -> None:
    before, audited = purged(api, "gate_logs"), recorded(api, "gate_logs")
    (young,) = old_passages(api, 1, "729 days 23 hours")
    old = old_passages(api, 3, "730 days 1 second")
    wait_purged(api, "gate_logs", before + 3)
    assert purged(api, "gate_logs") == before + 3
    assert recorded(api, "gate_logs") == audited + 3
    assert api.data("GET", f"{GATE}/{young}")["plate"] == SECRETS["plate"]
    for number in old:
        for role in ("viewer", "clerk"):
            shown = api.data("GET", f"{GATE}/{number}", role=role)
            assert (shown["plate"], shown["driver"], shown["direction"]) == (None, None, "out")
    listed = {entry["id"] for entry in api.data("GET", GATE, direction="out", limit=200)["items"]}
    assert set(old) <= listed, "the rows stay"
    by_plate = api.data("GET", GATE, plate=SECRETS["plate"], direction="out", limit=200)["items"]
    assert young in {entry["id"] for entry in by_plate}
    assert not set(old) & {entry["id"] for entry in by_plate}


def test_contact_and_tax_number_are_removed_long_after_the_deactivation(
    api: Operations,
) -> None:
    before, audited = purged(api, "accounts"), recorded(api, "accounts")
    created = {}
    for age in ("3650 days 1 second", "3649 days 23 hours", "0 days", ""):
        account = created[age] = secret_account(api)
        if age:
            path = f"{CARI}/{account['id']}"
            created[age] = api.data("POST", f"{path}/deactivate", {"version": 1}, role="admin")
            api.sql(
                f"UPDATE {ACCOUNTS} SET deactivated_at = now() - interval '{age}' "
                f"WHERE id = {account['id']}"
            )
    wait_purged(api, "accounts", before + 1)
    assert purged(api, "accounts") == before + 1
    assert recorded(api, "accounts") == audited + 1
    old = created.pop("3650 days 1 second")
    for account in created.values():
        assert api.data("GET", f"{CARI}/{account['id']}") == account
    path = f"{CARI}/{old['id']}"
    gone = {"tax_number": None, "contact": dict.fromkeys(CONTACT)}
    for role in ("viewer", "clerk"):
        shown = api.data("GET", path, role=role)
        assert shown == old | gone | {"version": 3, "changed_at": shown["changed_at"]}
    assert old["id"] in {account["id"] for account in api.data("GET", CARI, q=old["code"])["items"]}
    body = {name: old[name] for name in ("code", "title", "kind", "tax_number", "contact")}
    error = api.refused(409, "PUT", path, body | {"version": 2})
    assert error["code"] == "version_conflict", "an old PUT must not restore purged data"


def test_nothing_is_removed_if_the_audit_log_cannot_be_written(api: Operations) -> None:
    before = purged(api, "gate_logs")
    log = api.service.folder / "logs" / "audit.log"
    aside = log.with_name("aside")
    failed = 'aliaport_job_runs_total{name="purge",outcome="failed",plugin="operations"}'
    failures = api.metric(failed)
    log.rename(aside)
    log.mkdir()
    try:
        (number,) = old_passages(api, 1, "731 days")
        api.service.wait_for(lambda: api.metric(failed) > failures, "the purge has failed")
        assert api.sql(f"SELECT plate FROM {GATE_LOGS} WHERE id = {number}") == SECRETS["plate"]
        assert purged(api, "gate_logs") == before
    finally:
        log.rmdir()
        aside.rename(log)
    wait_purged(api, "gate_logs", before + 1)
    assert api.sql(f"SELECT plate FROM {GATE_LOGS} WHERE id = {number}") == ""


def test_two_replicas_purge_each_row_once(api: Operations, tmp_path: Path) -> None:
    before, audited = purged(api, "gate_logs"), recorded(api, "gate_logs")
    with replica(api, tmp_path / "second", **INTERVAL) as second:
        with held(
            api,
            f"LOCK TABLE {GATE_LOGS} IN SHARE ROW EXCLUSIVE MODE;"
            f"INSERT INTO {GATE_LOGS} "
            "(direction, plate, driver, passed_at, created_by, created_at) "
            "SELECT 'in', '34ABC123', 'Gizli', now() - interval '731 days', "
            "(SELECT min(id) FROM aliaport_operations_users), now() - interval '731 days' "
            "FROM generate_series(1, 5500)",
        ) as transaction:
            wait_for_blocked(api, 2)
            transaction.commit()
        left = f"SELECT count(*) FROM {GATE_LOGS} WHERE driver = 'Gizli' AND plate = '34ABC123'"
        api.service.wait_for(lambda: api.sql(left) == "0", "all rows are purged")

        def counted() -> tuple[float, int]:
            metrics = purged(api, "gate_logs") + purged(second, "gate_logs")
            return metrics - before, recorded(api, "gate_logs") + recorded(second, "gate_logs")

        api.service.wait_for(lambda: counted() >= (5500, audited + 5500), "all rows are counted")
        assert counted() == (5500, audited + 5500), "a row was purged twice"
        assert "job.failed" not in [event["message"] for event in second.events()]
