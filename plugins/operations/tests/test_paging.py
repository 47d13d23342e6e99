"""Tests of paging: each row once and in order, even during writes."""

import base64
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.operations import CARI, GATE, ORDER, Operations

BEGIN = datetime(2025, 3, 1, tzinfo=UTC)
USER = "(SELECT min(id) FROM aliaport_operations_users)"


def pages(
    api: Operations,
    path: str,
    *,
    between: Callable[[], object] = lambda: None,
    **query: Any,
) -> list[Any]:
    """Return the rows of all pages, and call `between` after each page."""
    rows: list[Any] = []
    for _ in range(1000):
        page = api.data("GET", path, **query)
        assert 0 < len(page["items"]) <= query["limit"] or not rows
        rows += page["items"]
        if page["next"] is None:
            return rows
        assert len(page["items"]) == query["limit"], "a page before the last one is full"
        query["after"] = page["next"]
        between()
    raise AssertionError("the pages do not end")


def accounts(api: Operations, number: int) -> tuple[str, list[Any]]:
    """Create accounts, some with equal titles; return a word that only they contain, and the accounts."""
    mark = f"w{uuid.uuid4().hex}"
    titles = [f"{'çcıi'[number % 4]} {mark}" for number in range(number)]
    return mark, [api.account(title=title, currency="NOK") for title in titles]


def gate_log(api: Operations, **fields: Any) -> Any:
    body = {"direction": "in", "plate": "34 ABC 123", "passed_at": BEGIN.isoformat()} | fields
    return api.data("POST", GATE, body)


def ids(rows: list[Any]) -> list[int]:
    return [row["id"] for row in rows]


@pytest.mark.parametrize("sort", ["code", "title"])
@pytest.mark.parametrize("limit", [1, 3, 7, 8, 200])
def test_each_account_is_shown_once_and_in_order(api: Operations, sort: str, limit: int) -> None:
    mark, created = accounts(api, 8)
    keys = {
        "code": lambda account: account["code"],
        "title": lambda account: ("cçıi".index(account["title"][0]), account["id"]),
    }
    wanted = sorted(created, key=keys[sort])
    assert pages(api, CARI, q=mark, sort=sort, limit=limit) == wanted


@pytest.mark.parametrize("sort", ["code", "title"])
def test_existing_accounts_are_shown_once_while_others_are_added_and_changed(
    api: Operations, sort: str
) -> None:
    mark, created = accounts(api, 9)

    def between() -> None:
        api.account(title=f"a {mark}", code=f"A-{uuid.uuid4().hex[:10].upper()}")
        api.account(title=f"z {mark}", code=f"Z-{uuid.uuid4().hex[:10].upper()}")
        for account in created:
            body = {name: account[name] for name in ("code", "title", "version")}
            body |= {"kind": "both", "currency": "SEK"}
            account["version"] = api.data("PUT", f"{CARI}/{account['id']}", body)["version"]

    seen = pages(api, CARI, q=mark, sort=sort, limit=4, between=between)
    assert sorted(row_id for row_id in ids(seen) if row_id in ids(created)) == sorted(ids(created))
    assert len(set(ids(seen))) == len(seen), "a row was shown twice"
    firsts = [account["title"][0] if sort == "title" else account["code"] for account in seen]
    assert firsts == sorted(firsts, key="acçıiz".index if sort == "title" else None)


def test_work_orders_are_shown_once_newest_first_while_others_are_added(api: Operations) -> None:
    account = api.account()["id"]
    created = [api.order(account_id=account) for _ in range(7)]

    def between() -> None:
        api.order(account_id=account)
        body = {"title": "Tahliye 2", "version": created[0]["version"]}
        created[0] = api.data("PUT", f"{ORDER}/{created[0]['id']}", body)

    seen = pages(api, ORDER, account_id=account, limit=2, between=between)
    assert ids(seen) == ids(created)[::-1], "newer orders do not appear on later pages"
    assert ids(pages(api, ORDER, account_id=account, limit=2)) == sorted(
        ids(api.data("GET", ORDER, account_id=account)["items"]), reverse=True
    )


def test_gate_logs_of_the_same_time_are_shown_once_latest_first(api: Operations) -> None:
    order = api.order()["id"]
    late = (BEGIN + timedelta(microseconds=1)).isoformat()
    created = [gate_log(api, work_order_id=order) for _ in range(5)]
    latest = [gate_log(api, work_order_id=order, passed_at=late) for _ in range(4)]
    wanted = [*latest[::-1], *created[::-1]]

    def between() -> None:
        gate_log(api, work_order_id=order, passed_at=(BEGIN + timedelta(days=1)).isoformat())

    seen = pages(api, GATE, work_order_id=order, limit=2, between=between)
    assert ids(seen) == ids(wanted)
    for limit in (1, 3, 4, 9):
        seen = pages(api, GATE, work_order_id=order, limit=limit, until=BEGIN + timedelta(hours=1))
        assert ids(seen) == ids(wanted), limit


def test_a_passage_that_is_logged_late_does_not_repeat_others(api: Operations) -> None:
    order = api.order()["id"]
    moments = [(BEGIN + timedelta(hours=hour)).isoformat() for hour in range(6)]
    created = [gate_log(api, work_order_id=order, passed_at=moment) for moment in moments]

    def between() -> None:
        for moment in moments:
            gate_log(api, work_order_id=order, passed_at=moment)

    seen = pages(api, GATE, work_order_id=order, limit=4, between=between)
    assert len(set(ids(seen))) == len(seen)
    assert set(ids(created)) <= set(ids(seen))
    assert [entry["passed_at"] for entry in seen] == sorted(
        (entry["passed_at"] for entry in seen), reverse=True
    )


def test_filters_apply_to_every_page(api: Operations) -> None:
    mark, created = accounts(api, 8)
    for entry in created[::2]:
        path = f"{CARI}/{entry['id']}/deactivate"
        api.data("POST", path, {"version": 1}, role="admin")
    query: dict[str, Any] = {"q": mark, "state": "active", "kind": "customer", "currency": "NOK"}
    seen = pages(api, CARI, sort="title", limit=1, **query)
    assert sorted(ids(seen)) == sorted(ids(created[1::2]))
    account = created[1]["id"]
    orders = [api.order(account_id=account, status=status) for status in ("draft", "planned") * 3]
    seen = pages(api, ORDER, account_id=account, status="planned", limit=2)
    assert ids(seen) == ids(orders[1::2])[::-1]


@pytest.mark.parametrize("path", [CARI, ORDER, GATE])
def test_the_limit_is_between_1_and_200(api: Operations, path: str) -> None:
    for limit in ("0", "201", "-1", "many", "", "1.5"):
        error = api.refused(422, "GET", path, limit=limit)
        assert [field["path"] for field in error["fields"]] == ["query.limit"], limit
    assert len(api.data("GET", path, limit=200)["items"]) <= 200


def test_a_page_has_50_rows_by_default(api: Operations) -> None:
    order = api.order()["id"]
    api.sql(
        "INSERT INTO aliaport_operations_gate_logs "
        "(direction, plate, passed_at, work_order_id, created_by) "
        f"SELECT 'in', '34ABC123', now(), {order}, {USER} FROM generate_series(1, 250)"
    )
    assert len(api.data("GET", GATE, work_order_id=order)["items"]) == 50
    assert len(api.data("GET", GATE, work_order_id=order, limit=200)["items"]) == 200
    assert len(pages(api, GATE, work_order_id=order, limit=200)) == 250


def cursor(*key: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


FORGED = [
    "x",
    "é",
    "%00",
    "=",
    "[]",
    cursor(),
    cursor("code"),
    cursor("code", 1),
    cursor("code", "A", "B"),
    cursor("code", None),
    cursor("code", "\0"),
    cursor("code", "\ud800"),
    cursor("code", ["A"]),
    cursor("title", "a"),
    cursor("title", "a", "1"),
    cursor("title", "a", True),
    cursor("title", "a", 1.0),
    cursor("title", "a", 2**63),
    cursor("newest"),
    cursor("newest", "1"),
    cursor("newest", 2**64),
    cursor("newest", -(2**63)),
    cursor("latest", 1),
    cursor("latest", 2**63 - 1, 1),
    cursor("latest", -(2**62), 1),
    cursor("latest", 1, 10**400),
    cursor("latest", 1, float("nan")),
    base64.urlsafe_b64encode(b"[" * 1400).decode(),
    base64.urlsafe_b64encode(b'["code","\xff"]').decode(),
    base64.urlsafe_b64encode(b'{"code":"A"}').decode(),
]


@pytest.mark.parametrize("after", FORGED)
def test_a_forged_cursor_is_refused(api: Operations, after: str) -> None:
    for path in (CARI, ORDER, GATE):
        for query in ({"sort": "code"}, {"sort": "title"}) if path == CARI else ({},):
            error = api.refused(422, "GET", path, after=after, **query)
            assert [field["path"] for field in error["fields"]] == ["query.after"]


def test_a_cursor_of_another_list_or_order_is_refused(api: Operations) -> None:
    _, created = accounts(api, 2)
    for _ in range(2):
        gate_log(api, work_order_id=api.order(account_id=created[0]["id"])["id"])
    lists: list[tuple[str, dict[str, Any]]] = [
        (CARI, {"sort": "code"}),
        (CARI, {"sort": "title"}),
        (ORDER, {}),
        (GATE, {}),
    ]
    for path, query in lists:
        following = api.data("GET", path, limit=1, **query)["next"]
        assert following is not None
        for other, its in lists:
            status = api.get(other, after=following, **its).status
            assert status == (200 if (other, its) == (path, query) else 422), (path, other)


def test_a_cursor_of_a_deleted_row_continues_after_it(api: Operations) -> None:
    account = api.account()["id"]
    created = [api.order(account_id=account) for _ in range(3)]
    after = api.data("GET", ORDER, account_id=account, limit=1)["next"]
    api.sql(f"DELETE FROM aliaport_operations_work_orders WHERE id = {created[2]['id']}")
    rest = api.data("GET", ORDER, account_id=account, after=after)
    assert (ids(rest["items"]), rest["next"]) == (ids(created[1::-1]), None)


@pytest.mark.parametrize("path", [CARI, ORDER, GATE])
def test_unknown_and_repeated_parameters_are_refused(api: Operations, path: str) -> None:
    error = api.refused(422, "GET", path, page=2)
    assert error["fields"] == [{"path": "query.page", "message": "is unknown"}]
    error = api.refused(422, "GET", f"{path}?limit=1&limit=2")
    assert error["fields"] == [{"path": "query.limit", "message": "is given more than once"}]
