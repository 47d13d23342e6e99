"""Tests of gate logs: creation, correction, and that they never change."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from tests.support.operations import GATE, Operations

TABLE = "aliaport_operations_gate_logs"
BEGIN = datetime(2025, 3, 1, 12, tzinfo=UTC)


def logged(api: Operations, **fields: Any) -> Any:
    return api.data("POST", GATE, {"direction": "in", "plate": "34 ABC 123"} | fields)


def refused_field(api: Operations, **fields: Any) -> str:
    error = api.refused(422, "POST", GATE, {"direction": "in", "plate": "34 ABC 123"} | fields)
    (field,) = error["fields"]
    return str(field["path"])


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def database_now(api: Operations) -> datetime:
    return moment(
        api.sql(
            "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US+00')"
        )
    )


def counted(api: Operations, direction: str) -> tuple[float, float]:
    """Return the gate logs counted by this process, and by the database."""
    names = ("aliaport_gate_logs_total", TABLE)
    counter, gauge = (api.metric(f'{name}{{direction="{direction}"}}') for name in names)
    return counter, gauge


def test_all_counters_start_at_zero(api: Operations) -> None:
    for direction in ("in", "out"):
        assert counted(api, direction) == (0, 0)


def test_a_passage_is_logged_read_and_listed(api: Operations) -> None:
    order = api.order()["id"]
    body = {
        "direction": "out",
        "plate": " 34-abc_123 ",
        "driver": " Deneme Sürücü ",
        "passed_at": "2025-03-01T15:00:00.123456+03:00",
        "work_order_id": order,
    }
    response = api.call("POST", GATE, body)
    assert response.status == 201, response.text
    created = response.json["data"]
    assert response.headers["Location"] == f"{GATE}/{created['id']}"
    assert {name: created[name] for name in created if name not in ("id", "created_at")} == {
        "direction": "out",
        "plate": "34ABC123",
        "driver": "Deneme Sürücü",
        "passed_at": "2025-03-01T12:00:00.123456Z",
        "work_order_id": order,
        "corrects": None,
        "corrected_by": None,
        "created_by": "clerk",
    }
    assert api.data("GET", response.headers["Location"]) == created
    assert api.data("GET", GATE, work_order_id=order) == {"items": [created], "next": None}


def test_the_time_defaults_to_now_by_the_clock_of_the_database(api: Operations) -> None:
    before = database_now(api)
    created = logged(api)
    assert before <= moment(created["passed_at"]) <= database_now(api)
    assert created["passed_at"] == created["created_at"]
    assert created["driver"] is None


def test_a_passage_can_be_some_minutes_ahead_but_not_in_the_future(api: Operations) -> None:
    now = database_now(api)
    soon = (now + timedelta(minutes=4)).isoformat()
    assert moment(logged(api, passed_at=soon)["passed_at"]) == moment(soon)
    for late in (
        (now + timedelta(minutes=6)).isoformat(),
        (now + timedelta(days=400)).isoformat(),
        "2199-12-31T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59-14:00",
    ):
        assert refused_field(api, passed_at=late) == "body.passed_at", late


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("passed_at", "1999-12-31T23:59:59Z"),
        ("passed_at", "0001-01-01T00:00:00+14:00"),
        ("passed_at", "2025-03-01T12:00:00"),
        ("passed_at", "2025-03-01"),
        ("passed_at", "2025-02-29T12:00:00Z"),
        ("passed_at", 1740830400),
        ("direction", "through"),
        ("direction", None),
        ("plate", "3"),
        ("plate", "A" * 16),
        ("plate", "34 ABC 123" + " " * 21),
        ("plate", "34 ABC 1'3"),
        ("plate", "34 АВС 12"),
        ("plate", None),
        ("driver", ""),
        ("driver", " "),
        ("driver", "a" * 101),
        ("driver", "a\nb"),
        ("work_order_id", 999_999_999),
        ("work_order_id", 0),
        ("work_order_id", "1"),
        ("corrects", 999_999_999),
        ("corrects", 0),
        ("corrects", 2**53),
        ("corrected_by", 1),
        ("created_at", "2025-03-01T12:00:00Z"),
    ],
)
def test_an_invalid_field_is_reported_with_its_path(
    api: Operations, field: str, value: Any
) -> None:
    rows = api.sql(f"SELECT count(*) FROM {TABLE}")
    assert refused_field(api, **{field: value}) == f"body.{field}"
    assert api.sql(f"SELECT count(*) FROM {TABLE}") == rows


def test_a_gate_log_cannot_correct_itself_or_a_later_one(api: Operations) -> None:
    first = logged(api)["id"]
    # Every attempt uses up an ID, so these hit its own ID and later ones.
    paths = {refused_field(api, corrects=first + offset) for offset in (1, 2, 3, 5, 9)}
    assert paths == {"body.corrects"}


def test_a_corrected_gate_log_stays(api: Operations) -> None:
    wrong = logged(api, driver="Deneme 1")
    right = logged(api, plate="34 ABC 124", corrects=wrong["id"])
    assert right["corrects"] == wrong["id"]
    assert api.data("GET", f"{GATE}/{wrong['id']}") == wrong | {"corrected_by": right["id"]}


def test_a_gate_log_is_corrected_once_and_so_is_its_correction(api: Operations) -> None:
    chain = [logged(api)]
    for number in range(3):
        chain.append(logged(api, plate=f"34 ABC 20{number}", corrects=chain[-1]["id"]))
    for entry in chain[:-1]:
        body = {"direction": "in", "plate": "34 ABC 999", "corrects": entry["id"]}
        error = api.refused(409, "POST", GATE, body)
        assert error["code"] == "already_corrected"
    links = [
        (log["corrects"], log["corrected_by"])
        for log in (api.data("GET", f"{GATE}/{entry['id']}") for entry in chain)
    ]
    ids = [entry["id"] for entry in chain]
    assert links == list(zip([None, *ids], [*ids[1:], None], strict=False))


def test_only_one_of_several_concurrent_corrections_succeeds(api: Operations) -> None:
    wrong = logged(api)["id"]
    bodies = [
        {"direction": "in", "plate": f"34 ABC 30{number}", "corrects": wrong} for number in range(4)
    ]
    with ThreadPoolExecutor(4) as threads:
        responses = list(threads.map(lambda body: api.call("POST", GATE, body), bodies))
    assert sorted(response.status for response in responses) == [201, 409, 409, 409]
    assert api.sql(f"SELECT count(*) FROM {TABLE} WHERE corrects = {wrong}") == "1"


def test_lists_are_filtered_by_every_parameter(api: Operations) -> None:
    order = api.order()["id"]

    def entry(hours: int, **fields: Any) -> Any:
        passed_at = (BEGIN + timedelta(hours=hours)).isoformat()
        return logged(api, passed_at=passed_at, work_order_id=order, **fields)

    first = entry(0, plate="06 XY 001")
    second = entry(1, plate="06 XY 002", direction="out")
    third = entry(2, plate="06 XY 001", corrects=first["id"])
    fourth = entry(3, plate="06 XY 001", direction="out")

    def listed(**query: Any) -> list[int]:
        items = api.data("GET", GATE, work_order_id=order, **query)["items"]
        return [item["id"] for item in items]

    one, two, three, four = (log["id"] for log in (first, second, third, fourth))
    assert listed() == [four, three, two, one]
    assert listed(direction="out") == [four, two]
    assert listed(plate="06-xy-001") == [four, three, one]
    assert listed(plate="06 XY 00") == []
    assert listed(corrected="true") == [one]
    assert listed(corrected="false") == [four, three, two]
    assert listed(since=BEGIN + timedelta(hours=2)) == [four, three], "since is inclusive"
    assert listed(until=BEGIN + timedelta(hours=2)) == [two, one], "until is exclusive"
    assert listed(since="2025-03-01T16:00:00+03:00", until="2025-03-01T14:00:01Z") == [three, two]
    assert listed(plate="06XY001", direction="in", corrected="false") == [three]
    assert listed(since="0001-01-01T00:00:00+14:00", until="9999-12-31T23:59:59-14:00") == listed()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("direction", "IN"),
        ("plate", "'"),
        ("plate", ""),
        ("since", "yesterday"),
        ("since", "2025-03-01T12:00:00"),
        ("until", "2025-13-01T12:00:00Z"),
        ("corrected", "yes"),
        ("work_order_id", "0"),
        ("driver", "x"),
    ],
)
def test_an_invalid_filter_is_reported_with_its_path(
    api: Operations, name: str, value: str
) -> None:
    error = api.refused(422, "GET", GATE, **{name: value})
    assert [field["path"] for field in error["fields"]] == [f"query.{name}"]


@pytest.mark.parametrize(
    ("method", "status"), [("PUT", 405), ("PATCH", 405), ("DELETE", 405), ("GET", 200)]
)
def test_no_route_changes_a_gate_log(api: Operations, method: str, status: int) -> None:
    path = f"{GATE}/{logged(api)['id']}"
    assert api.call(method, path, role="admin").status == status


def test_an_unknown_id_is_404(api: Operations) -> None:
    assert api.refused(404, "GET", f"{GATE}/999999999")["code"] == "not_found"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {table} SET direction = 'out' WHERE id = {id}",
        "UPDATE {table} SET plate = '34ABC999' WHERE id = {id}",
        "UPDATE {table} SET driver = NULL WHERE id = {id}",
        "UPDATE {table} SET passed_at = passed_at - interval '1 day' WHERE id = {id}",
        "UPDATE {table} SET corrects = NULL WHERE id = {id}",
        "UPDATE {table} SET purged_at = now() WHERE id = {id}",
        "UPDATE {table} SET purged_at = now(), plate = NULL WHERE id = {id}",
        "UPDATE {table} SET purged_at = now(), plate = NULL, driver = 'x' WHERE id = {id}",
        "UPDATE {table} SET purged_at = now(), plate = NULL, driver = NULL, direction = 'out' "
        "WHERE id = {id}",
        "UPDATE {table} SET plate = plate WHERE id = {id}",
        "DELETE FROM {table} WHERE id = {id}",
        "DELETE FROM {table}",
        "TRUNCATE {table}",
        "TRUNCATE {table} CASCADE",
    ],
)
def test_sql_cannot_change_a_gate_log(api: Operations, statement: str) -> None:
    created = logged(api, driver="Deneme 2")
    assert refusal(api, statement.format(table=TABLE, id=created["id"])) is not None
    assert api.data("GET", f"{GATE}/{created['id']}") == created


def test_a_purge_is_the_only_change_and_happens_once(api: Operations) -> None:
    created = logged(api, driver="Deneme 3")
    purge = f"UPDATE {TABLE} SET plate = NULL, driver = NULL, purged_at = now() WHERE id = {created['id']}"
    assert refusal(api, purge) is None
    assert api.data("GET", f"{GATE}/{created['id']}") == created | {"plate": None, "driver": None}
    for statement in (
        purge,
        f"UPDATE {TABLE} SET plate = '34ABC123', purged_at = NULL WHERE id = {created['id']}",
    ):
        assert "gate logs are only added" in str(refusal(api, statement))


def refusal(api: Operations, statement: str) -> str | None:
    """Run a statement, and return the error of the database or None."""
    try:
        api.sql(statement)
    except asyncpg.PostgresError as error:
        return str(error)
    return None


def test_gate_logs_are_counted_only_after_the_commit(api: Operations) -> None:
    before = [counted(api, direction) for direction in ("in", "out")]
    wrong = logged(api)["id"]
    logged(api, direction="out", corrects=wrong)
    refused_field(api, corrects=999_999_999)
    refused_field(api, work_order_id=999_999_999)
    body = {"direction": "in", "plate": "34 ABC 123", "corrects": wrong}
    api.refused(409, "POST", GATE, body)
    api.refused(403, "POST", GATE, body, role="viewer")
    after = [counted(api, direction) for direction in ("in", "out")]
    assert after == [(counter + 1, gauge + 1) for counter, gauge in before]
