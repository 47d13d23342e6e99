"""Tests of work orders: transitions, version conflicts, and metrics."""

from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import pytest
from aliaport_operations.order_fields import TRANSITIONS, OrderStatus

from tests.support.operations import CARI, ORDER, Operations
from tests.support.operations_locks import held, wait_for_blocked

ALLOWED = {(str(before), str(after)) for before, after in TRANSITIONS}
STEPS = {
    "draft": (),
    "planned": ("planned",),
    "in_progress": ("planned", "in_progress"),
    "done": ("planned", "in_progress", "done"),
    "cancelled": ("cancelled",),
}
"""Steps from draft to each status."""

REFUSALS = {
    "draft": "a draft can only become planned or cancelled",
    "planned": "a work order that is planned can only become in_progress or cancelled",
    "in_progress": "a work order that is in_progress can only become done or cancelled",
    "done": "a work order that is done cannot change its status",
    "cancelled": "a work order that is cancelled cannot change its status",
}
COUNTERS = [f'aliaport_work_orders_total{{status="{status}"}}' for status in ("draft", "planned")]


def moved(api: Operations, order: Any, status: str, **options: Any) -> Any:
    body = {"status": status, "version": order["version"]}
    return api.data("POST", f"{ORDER}/{order['id']}/status", body, **options)


def order_in(api: Operations, status: str) -> Any:
    order = api.order()
    for step in STEPS[status]:
        order = moved(api, order, step)
    return order


def transition(before: str, after: str) -> str:
    return f'aliaport_operations_transitions_total{{from_status="{before}",to_status="{after}"}}'


def gauge(status: str, family: str = "work_orders") -> str:
    return f'aliaport_operations_{family}{{status="{status}"}}'


def test_all_counters_start_at_zero(api: Operations) -> None:
    assert [api.metric(series) for series in COUNTERS] == [0, 0]
    assert [api.metric(transition(*pair)) for pair in sorted(ALLOWED)] == [0] * 6
    for status in OrderStatus:
        assert api.metric(gauge(status)) == 0


def test_an_order_is_created_read_and_listed(api: Operations) -> None:
    account = api.account(title="Deneme 1")
    body = {
        "account_id": account["id"],
        "title": "  Tahliye ",
        "description": "iki\nsatır",
        "planned_for": "2027-02-28",
        "status": "planned",
    }
    response = api.call("POST", ORDER, body)
    assert response.status == 201, response.text
    created = response.json["data"]
    assert response.headers["Location"] == f"{ORDER}/{created['id']}"
    assert {
        name: created[name] for name in created if name not in ("id", "created_at", "changed_at")
    } == {
        "account": {"id": account["id"], "code": account["code"], "title": "Deneme 1"},
        "title": "Tahliye",
        "description": "iki\nsatır",
        "planned_for": "2027-02-28",
        "status": "planned",
        "next_statuses": ["in_progress", "cancelled"],
        "version": 1,
        "created_by": "clerk",
        "changed_by": "clerk",
    }
    assert api.data("GET", response.headers["Location"]) == created
    assert api.data("GET", ORDER, account_id=account["id"])["items"] == [created]
    assert api.data("GET", f"{ORDER}/{created['id']}/history") == {"items": []}


def test_omitted_fields_get_their_defaults(api: Operations) -> None:
    created = api.order()
    assert (created["status"], created["description"], created["planned_for"]) == (
        "draft",
        "",
        None,
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "in_progress"),
        ("status", "done"),
        ("status", "cancelled"),
        ("title", ""),
        ("title", "a" * 201),
        ("description", "a" * 4001),
        ("description", "\0"),
        ("description", None),
        ("planned_for", "2027-02-29"),
        ("planned_for", "tomorrow"),
        ("planned_for", 20270228),
        ("account_id", 0),
        ("account_id", 2**53),
        ("account_id", "1"),
        ("version", 1),
    ],
)
def test_an_invalid_field_is_reported_with_its_path(
    api: Operations, field: str, value: Any
) -> None:
    body = {"account_id": api.account()["id"], "title": "Tahliye", field: value}
    error = api.refused(422, "POST", ORDER, body)
    assert [field["path"] for field in error["fields"]] == [f"body.{field}"]


def test_an_unknown_account_is_reported_with_its_path(api: Operations) -> None:
    for number in (999_999_999, 2**53 - 1):
        error = api.refused(422, "POST", ORDER, {"account_id": number, "title": "Tahliye"})
        assert error["fields"] == [
            {"path": "body.account_id", "message": "there is no account with this ID"}
        ]


@pytest.mark.parametrize("before", STEPS)
def test_only_allowed_transitions_succeed(api: Operations, before: str) -> None:
    for after in STEPS:
        order = order_in(api, before)
        path = f"{ORDER}/{order['id']}"
        if (before, after) in ALLOWED:
            done = moved(api, order, after)
            assert done["status"] == after
            assert done["version"] == order["version"] + 1
            assert api.data("GET", path) == done
            continue
        body = {"status": after, "version": order["version"]}
        error = api.refused(409, "POST", f"{path}/status", body)
        assert (error["code"], error["message"]) == ("transition_not_allowed", REFUSALS[before])
        assert error["next_statuses"] == order["next_statuses"]
        assert {(before, status) for status in error["next_statuses"]} == {
            pair for pair in ALLOWED if pair[0] == before
        }
        assert api.data("GET", path) == order


def test_the_history_lists_all_changes_in_order(api: Operations) -> None:
    order = api.order()
    path = f"{ORDER}/{order['id']}"
    order = moved(api, order, "planned")
    order = api.data("PUT", path, {"title": "Yükleme", "version": order["version"]})
    body = {"status": "cancelled", "reason": " gemi gelmedi ", "version": order["version"]}
    api.data("POST", f"{path}/status", body, role="admin")
    history = api.data("GET", f"{path}/history", role="viewer")["items"]
    moments = [change.pop("changed_at") for change in history]
    assert order["created_at"] < moments[0] < moments[1]
    assert history == [
        {
            "version": 2,
            "from_status": "draft",
            "to_status": "planned",
            "reason": "",
            "changed_by": "clerk",
        },
        {
            "version": 4,
            "from_status": "planned",
            "to_status": "cancelled",
            "reason": "gemi gelmedi",
            "changed_by": "admin",
        },
    ]


def test_an_edit_of_another_version_is_refused_and_names_the_current_author(
    api: Operations,
) -> None:
    order = api.order()
    path = f"{ORDER}/{order['id']}"
    newest = moved(api, order, "planned", role="admin")
    for method, place, body in (
        ("PUT", path, {"title": "Yükleme", "version": 1}),
        ("POST", f"{path}/status", {"status": "planned", "version": 1}),
        ("POST", f"{path}/status", {"status": "cancelled", "version": 3}),
    ):
        error = api.refused(409, method, place, body)
        assert error["code"] == "version_conflict"
        assert (error["changed_by"], error["version"]) == ("admin", 2)
        assert "admin changed this work order first" in error["message"]
        assert error["changed_at"].replace("+00:00", "Z") == newest["changed_at"]
    assert api.data("GET", path) == newest
    assert len(api.data("GET", f"{path}/history")["items"]) == 1


@pytest.mark.parametrize("status", STEPS)
def test_the_content_can_be_changed_only_before_the_order_has_ended(
    api: Operations, status: str
) -> None:
    order = order_in(api, status)
    path = f"{ORDER}/{order['id']}"
    body = {"title": "Yükleme", "planned_for": "2027-01-01", "version": order["version"]}
    if status in ("done", "cancelled"):
        error = api.refused(409, "PUT", path, body)
        assert error["code"] == "work_order_ended"
        assert status in error["message"]
        assert api.data("GET", path) == order
        return
    changed = api.data("PUT", path, body, role="admin")
    assert changed == order | body | {
        "version": order["version"] + 1,
        "changed_by": "admin",
        "changed_at": changed["changed_at"],
    }
    again = api.data("PUT", path, {"title": "Tartım", "version": changed["version"]})
    assert (again["planned_for"], again["description"]) == (None, ""), (
        "a PUT replaces the whole content"
    )


def test_the_status_can_be_changed_only_on_its_own_path(api: Operations) -> None:
    order = api.order()
    body = {"title": "Yükleme", "version": 1, "status": "done"}
    error = api.refused(422, "PUT", f"{ORDER}/{order['id']}", body)
    assert error["fields"] == [{"path": "body.status", "message": "is unknown"}]


def test_an_unknown_id_is_404(api: Operations) -> None:
    path = f"{ORDER}/999999999"
    move = {"status": "planned", "version": 1}
    assert api.refused(404, "GET", path)["code"] == "not_found"
    assert api.refused(404, "GET", f"{path}/history")["code"] == "not_found"
    assert api.refused(404, "PUT", path, {"title": "x", "version": 1})["code"] == "not_found"
    assert api.refused(404, "POST", f"{path}/status", move)["code"] == "not_found"


def test_a_deactivated_account_gets_no_new_orders_but_keeps_its_existing_ones(
    api: Operations,
) -> None:
    account = api.account()
    order = api.order(account_id=account["id"])
    switch = f"{CARI}/{account['id']}"
    api.data("POST", f"{switch}/deactivate", {"version": 1}, role="admin")
    body = {"account_id": account["id"], "title": "Tahliye"}
    assert api.refused(409, "POST", ORDER, body)["code"] == "account_deactivated"
    assert moved(api, order, "planned")["status"] == "planned"
    api.data("POST", f"{switch}/activate", {"version": 2}, role="admin")
    assert api.data("POST", ORDER, body)["account"]["id"] == account["id"]


@pytest.mark.parametrize("committed", [True, False])
def test_a_new_order_waits_for_the_deactivation_of_its_account(
    api: Operations, committed: bool
) -> None:
    account = api.account()["id"]
    body = {"account_id": account, "title": "Tahliye"}
    off = f"UPDATE aliaport_operations_accounts SET deactivated_at = now() WHERE id = {account}"
    with ThreadPoolExecutor(1) as threads:
        with held(api, off) as transaction:
            future = threads.submit(api.call, "POST", ORDER, body)
            wait_for_blocked(api, 1)
            assert not future.done()
            if committed:
                transaction.commit()
        response = future.result(30)
    created = api.data("GET", ORDER, account_id=account)["items"]
    if committed:
        assert (response.status, response.json["error"]["code"]) == (409, "account_deactivated")
        assert created == []
    else:
        assert response.status == 201
        assert created == [response.json["data"]]


def test_a_deactivation_waits_for_an_order_that_is_being_created(
    api: Operations,
) -> None:
    account = api.account()["id"]
    path = f"{CARI}/{account}/deactivate"
    # The same lock as for the creation of an order.
    share = f"SELECT FROM aliaport_operations_accounts WHERE id = {account} FOR SHARE"
    with ThreadPoolExecutor(1) as threads:
        with held(api, share):
            # Another creation does not wait for the first one.
            assert api.order(account_id=account)["status"] == "draft"
            future = threads.submit(api.call, "POST", path, {"version": 1}, role="admin")
            wait_for_blocked(api, 1)
            assert not future.done()
        assert future.result(30).status == 200


def test_orders_are_counted_by_their_first_status(api: Operations) -> None:
    before = [api.metric(series) for series in COUNTERS]
    created = [api.metric(gauge(status, "work_orders_created")) for status in ("draft", "planned")]
    api.order()
    moved(api, api.order(), "planned")
    api.order(status="planned")
    assert [api.metric(series) for series in COUNTERS] == [before[0] + 2, before[1] + 1]
    assert [
        api.metric(gauge(status, "work_orders_created")) for status in ("draft", "planned")
    ] == [
        created[0] + 2,
        created[1] + 1,
    ]


def test_refused_requests_are_not_counted(api: Operations) -> None:
    account, order = api.account()["id"], api.order()
    moves = [transition(*pair) for pair in sorted(ALLOWED)]
    before = [api.metric(series) for series in (*COUNTERS, *moves)]
    path = f"{ORDER}/{order['id']}/status"
    api.refused(422, "POST", ORDER, {"account_id": 999_999_999, "title": "Tahliye"})
    api.refused(422, "POST", ORDER, {"account_id": account, "title": ""})
    api.refused(403, "POST", ORDER, {"account_id": account, "title": "x"}, role="viewer")
    api.refused(409, "POST", path, {"status": "done", "version": 1})
    api.refused(409, "POST", path, {"status": "planned", "version": 2})
    assert [api.metric(series) for series in (*COUNTERS, *moves)] == before


def test_writes_that_fail_at_the_commit_are_not_counted(api: Operations) -> None:
    order, account = api.order(), api.account()["id"]
    names = [*COUNTERS, transition("draft", "planned")]
    before = [api.metric(series) for series in names]
    rows = int(api.sql("SELECT count(*) FROM aliaport_operations_work_orders"))
    api.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'not now'; END$$;"
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON aliaport_operations_work_orders "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    try:
        body = {"account_id": account, "title": "Tahliye"}
        assert api.refused(500, "POST", ORDER, body)["code"] == "internal_error"
        path = f"{ORDER}/{order['id']}"
        api.refused(500, "POST", f"{path}/status", {"status": "planned", "version": 1})
    finally:
        api.sql("DROP FUNCTION refuse() CASCADE")
    assert [api.metric(series) for series in names] == before
    assert api.data("GET", path) == order
    assert int(api.sql("SELECT count(*) FROM aliaport_operations_work_orders")) == rows


def test_each_transition_has_a_counter(api: Operations) -> None:
    for before, after in sorted(ALLOWED):
        order = order_in(api, before)
        counted = api.metric(transition(before, after))
        moved(api, order, after)
        assert api.metric(transition(before, after)) == counted + 1


def test_the_gauges_match_the_database(api: Operations) -> None:
    for status in STEPS:
        order_in(api, status)
    for family, column in (("work_orders", "status"), ("work_orders_created", "first_status")):
        rows = api.sql(
            f"SELECT {column}, count(*) FROM aliaport_operations_work_orders GROUP BY 1"
        ).splitlines()
        counted = dict(row.split("|") for row in rows)
        statuses = STEPS if family == "work_orders" else ("draft", "planned")
        for status in statuses:
            assert api.metric(gauge(status, family)) == float(counted.get(status, 0))


def test_lists_are_filtered_by_account_and_status(api: Operations) -> None:
    account = api.account()["id"]
    created = {}
    for status in STEPS:
        order = api.order(account_id=account)
        for step in STEPS[status]:
            order = moved(api, order, step)
        created[status] = order
    for status, other in product(STEPS, repeat=2):
        listed = api.data("GET", ORDER, account_id=account, status=status)["items"]
        assert (created[other] in listed) is (status == other)
    assert api.data("GET", ORDER, account_id=999_999_999)["items"] == []
    error = api.refused(422, "GET", f"{ORDER}?status=lost")
    assert [field["path"] for field in error["fields"]] == ["query.status"]
