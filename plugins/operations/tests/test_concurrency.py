"""Tests of concurrent writes over two replicas: one wins, the other gets an error, none hangs."""

import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.operations import CARI, GATE, ORDER, PATIENT, Operations, replica, serve
from tests.support.operations_clerks import BROKEN_HISTORIES
from tests.support.operations_locks import held, wait_for_blocked
from tests.support.postgres import TcpPostgres
from tests.support.service import Response
from tests.support.waiting import wait_until

Pair = tuple[Operations, Operations]
Send = Callable[[], Response]
CLERKS = ("clerk-1", "clerk-2")


@pytest.fixture(scope="module")
def pair(server: TcpPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Start two replicas; both know the tokens of two clerks."""
    folder = tmp_path_factory.mktemp("operations")
    environ = PATIENT | {"ALIAPORT_APPS__OPERATIONS__POOL_SIZE": "5"}
    with serve(server, folder / "first", **environ) as first:
        for name in CLERKS:
            first.tokens[name] = first.token(first.add_user(name))
        with replica(first, folder / "second", **environ) as second:
            yield first, second


def together(*requests: Send) -> list[Response]:
    """Return the responses to requests that are sent at the same moment."""
    barrier = threading.Barrier(len(requests))

    def send_at_once(send: Send) -> Response:
        barrier.wait(30)
        return send()

    with ThreadPoolExecutor(len(requests)) as threads:
        return list(threads.map(send_at_once, requests))


def in_order(api: Operations, lock: str, *requests: Send) -> list[Response]:
    """Return the responses to requests that wait for the same lock in this order."""
    with ThreadPoolExecutor(len(requests)) as threads:
        futures: list[Future[Response]] = []
        with held(api, lock):
            for number, send in enumerate(requests, 1):
                futures.append(threads.submit(send))
                wait_for_blocked(api, number)
        return [future.result(30) for future in futures]


def move(api: Operations, name: str, order: Any, status: str) -> Send:
    body = {"version": order["version"], "status": status}
    return lambda: api.call("POST", f"{ORDER}/{order['id']}/status", body, role=name)


def change(api: Operations, name: str, order: Any) -> Send:
    body = {"version": order["version"], "title": f"by {name}"}
    return lambda: api.call("PUT", f"{ORDER}/{order['id']}", body, role=name)


def check_one_wins(api: Operations, order: Any, responses: list[Response]) -> str:
    """Check that one of two edits of the same version won, and return its clerk."""
    assert sorted(response.status for response in responses) == [200, 409], [
        response.text for response in responses
    ]
    (won,) = [response.json["data"] for response in responses if response.status == 200]
    (error,) = [response.json["error"] for response in responses if response.status == 409]
    assert won["version"] == order["version"] + 1
    assert error["code"] == "version_conflict"
    assert error["changed_by"] == won["changed_by"]
    assert error["version"] == won["version"]
    assert api.data("GET", f"{ORDER}/{order['id']}") == won
    name: str = won["changed_by"]
    return name


@pytest.mark.parametrize("turn", [1, -1])
def test_the_clerk_who_comes_first_wins(pair: Pair, turn: int) -> None:
    first, second = pair
    order = first.order()
    lock = f"SELECT FROM aliaport_operations_work_orders WHERE id = {order['id']} FOR UPDATE"
    requests = (
        move(first, CLERKS[0], order, "planned"),
        move(second, CLERKS[1], order, "cancelled"),
    )
    responses = in_order(first, lock, *requests[::turn])
    assert check_one_wins(first, order, responses) == CLERKS[::turn][0]
    assert responses[0].status == 200


def test_two_clerks_cannot_both_move_an_order(pair: Pair) -> None:
    first, second = pair
    account = first.account()["id"]
    for _ in range(25):
        order = first.order(account_id=account)
        requests = [
            move(first, CLERKS[0], order, "planned"),
            move(second, CLERKS[1], order, "planned"),
        ]
        check_one_wins(first, order, together(*requests))
        (moved,) = first.data("GET", f"{ORDER}/{order['id']}/history")["items"]
        assert moved["version"] == 2


def test_a_change_and_a_move_cannot_both_win(pair: Pair) -> None:
    first, second = pair
    account = first.account()["id"]
    for number in range(25):
        order = first.order(account_id=account)
        requests = [change(first, CLERKS[0], order), move(second, CLERKS[1], order, "cancelled")]
        check_one_wins(first, order, together(*requests[:: 1 if number % 2 else -1]))
        moves = first.data("GET", f"{ORDER}/{order['id']}/history")["items"]
        now = first.data("GET", f"{ORDER}/{order['id']}")
        assert (now["status"], now["title"], len(moves)) in (
            ("draft", f"by {CLERKS[0]}", 0),
            ("cancelled", "Tahliye", 1),
        )


def test_two_clerks_cannot_both_change_an_account(pair: Pair) -> None:
    first, second = pair
    for _ in range(10):
        account = first.account()
        path = f"{CARI}/{account['id']}"
        body = {"code": account["code"], "kind": "both", "version": 1}
        responses = together(
            lambda: first.call("PUT", path, body | {"title": "one"}, role=CLERKS[0]),
            lambda: second.call("PUT", path, body | {"title": "two"}, role=CLERKS[1]),
        )
        assert sorted(response.status for response in responses) == [200, 409]
        (won,) = [response.json["data"] for response in responses if response.status == 200]
        (error,) = [response.json["error"] for response in responses if response.status == 409]
        assert (error["code"], error["changed_by"]) == ("version_conflict", won["changed_by"])
        assert first.data("GET", path) == won


def test_a_response_shows_its_own_change_and_not_a_later_one(pair: Pair) -> None:
    first, second = pair
    order = first.order()
    later = order | {"version": 2}
    # Reading an order needs its account; changing it does not.
    lock = "LOCK aliaport_operations_accounts IN ACCESS EXCLUSIVE MODE"
    requests = (change(first, CLERKS[0], order), change(second, CLERKS[1], later))
    own, other = in_order(first, lock, *requests)
    assert own.status == 200, own.text
    assert (own.json["data"]["version"], own.json["data"]["title"]) == (2, f"by {CLERKS[0]}")
    # Its version was not committed yet when it was sent.
    assert other.status == 409, other.text


@pytest.mark.parametrize("what", ["order", "gate log"])
def test_double_submits_create_one_row_and_get_equal_responses(pair: Pair, what: str) -> None:
    first, _ = pair
    account = first.account()["id"]
    before = first.metric("aliaport_operations_replayed_total")
    for _ in range(10):
        key = str(uuid.uuid4())
        path, body, table, column = (
            (ORDER, {"account_id": account, "title": key}, "work_orders", "title")
            if what == "order"
            else (GATE, {"direction": "in", "plate": "34AB1", "driver": key}, "gate_logs", "driver")
        )
        headers = {"Idempotency-Key": key}
        responses = together(
            *(lambda api=api: api.call("POST", path, body, headers=headers) for api in pair * 3)
        )
        assert {response.status for response in responses} == {201}, [
            response.text for response in responses
        ]
        assert all(response.json["data"] == responses[0].json["data"] for response in responses)
        assert len({response.headers["Location"] for response in responses}) == 1
        replayed = [response.headers.get("Idempotent-Replayed") for response in responses]
        assert sorted(map(str, replayed)) == ["None", *["true"] * 5]
        count = f"SELECT count(*) FROM aliaport_operations_{table} WHERE {column} = '{key}'"
        assert first.sql(count) == "1"
    assert first.metric("aliaport_operations_replayed_total") > before


def test_a_repeated_request_takes_over_when_the_first_one_fails(pair: Pair) -> None:
    first, second = pair
    account = first.account()["id"]
    body = {"account_id": account, "title": "Tahliye"}
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    lock = f"SELECT FROM aliaport_operations_accounts WHERE id = {account} FOR UPDATE"
    # The lock blocks the first request; the second waits for the first.
    cut = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE wait_event_type = 'Lock' AND query LIKE '%FOR SHARE%'"
    )
    with ThreadPoolExecutor(2) as threads, ExitStack() as locks:
        locks.enter_context(held(first, lock))
        failing = threads.submit(first.call, "POST", ORDER, body, headers=headers)
        wait_for_blocked(first, 1)
        taking_over = threads.submit(second.call, "POST", ORDER, body, headers=headers)
        wait_for_blocked(first, 2)
        assert first.sql(cut) == "1"
        assert failing.result(30).status == 503
        wait_for_blocked(first, 1)
        locks.close()
        response = taking_over.result(30)
    assert response.status == 201, response.text
    assert "Idempotent-Replayed" not in response.headers
    orders = first.data("GET", ORDER, account_id=account)["items"]
    assert [order["id"] for order in orders] == [response.json["data"]["id"]]


def test_one_of_twenty_accounts_gets_the_code(pair: Pair) -> None:
    first, _ = pair
    code = f"C-{uuid.uuid4().hex[:8].upper()}"
    body = {"code": code, "title": "Deneme", "kind": "customer"}
    responses = together(*(lambda api=api: api.call("POST", CARI, body) for api in pair * 10))
    counts = Counter(
        (response.status, response.json.get("error", {}).get("code")) for response in responses
    )
    assert counts == {(201, None): 1, (409, "code_taken"): 19}
    assert (
        first.sql(f"SELECT count(*) FROM aliaport_operations_accounts WHERE code = '{code}'") == "1"
    )


def test_a_gate_log_is_corrected_once(pair: Pair) -> None:
    first, _ = pair
    wrong = first.data("POST", GATE, {"direction": "in", "plate": "34ABC123"})
    body = {"direction": "out", "plate": "34ABC123", "corrects": wrong["id"]}
    responses = together(*(lambda api=api: api.call("POST", GATE, body) for api in pair * 5))
    counts = Counter(
        (response.status, response.json.get("error", {}).get("code")) for response in responses
    )
    assert counts == {(201, None): 1, (409, "already_corrected"): 9}
    (right,) = [response.json["data"] for response in responses if response.status == 201]
    assert first.data("GET", f"{GATE}/{wrong['id']}") == wrong | {"corrected_by": right["id"]}


def test_no_order_is_created_after_the_deactivation(pair: Pair) -> None:
    first, second = pair
    account = first.account()["id"]
    count = f"SELECT count(*) FROM aliaport_operations_work_orders WHERE account_id = {account}"

    def create_until_refused(api: Operations) -> Any:
        body = {"account_id": account, "title": "Tahliye"}
        while (response := api.call("POST", ORDER, body)).status == 201:
            pass
        return response.json["error"]["code"]

    with ThreadPoolExecutor(4) as threads:
        ends = [threads.submit(create_until_refused, api) for api in (first, second) * 2]
        wait_until(lambda: int(first.sql(count)) >= 20, "orders are created")
        first.data("POST", f"{CARI}/{account}/deactivate", {"version": 1}, role="admin")
        at_deactivation = first.sql(count)
        assert {future.result(30) for future in ends} == {"account_deactivated"}
    assert first.sql(count) == at_deactivation


def test_a_deactivation_waits_for_an_order_that_is_being_created(pair: Pair) -> None:
    first, second = pair
    account = first.account()["id"]
    path, body = f"{CARI}/{account}/deactivate", {"account_id": account, "title": "Tahliye"}
    created, deactivated = in_order(
        first,
        "LOCK aliaport_operations_work_orders IN SHARE MODE",
        lambda: first.call("POST", ORDER, body),
        lambda: second.call("POST", path, {"version": 1}, role="admin"),
    )
    assert (created.status, deactivated.status) == (201, 200)
    assert first.refused(409, "POST", ORDER, body)["code"] == "account_deactivated"


def test_mixed_writes_do_not_deadlock(pair: Pair) -> None:
    first, second = pair
    accounts = [first.account() for _ in range(2)]
    orders = [first.order(account_id=account["id"]) for account in accounts * 2]

    def write(api: Operations, rng: random.Random) -> set[int]:
        seen: set[int] = set()
        for _ in range(30):
            account, order = rng.choice(accounts), rng.choice(orders)
            now = api.data("GET", f"{ORDER}/{order['id']}")
            owner = api.data("GET", f"{CARI}/{account['id']}")
            kept = {"code": owner["code"], "kind": "both", "version": owner["version"]}
            send: Send = rng.choice(
                [
                    lambda: move(api, "clerk", now, (now["next_statuses"] or ["done"])[0])(),
                    lambda: change(api, "clerk", now)(),
                    lambda: api.call("PUT", f"{CARI}/{owner['id']}", kept | {"title": "başka"}),
                    lambda: api.call(
                        "POST",
                        f"{CARI}/{owner['id']}/{'deactivate' if owner['active'] else 'activate'}",
                        {"version": owner["version"]},
                        role="admin",
                    ),
                    lambda: api.call("POST", ORDER, {"account_id": owner["id"], "title": "yeni"}),
                    lambda: api.call(
                        "POST",
                        GATE,
                        {"direction": "in", "plate": "34ABC123", "work_order_id": now["id"]},
                        headers={"Idempotency-Key": str(rng.randrange(5))},
                    ),
                ]
            )
            seen.add(send().status)
        return seen

    with ThreadPoolExecutor(6) as threads:
        work = [
            threads.submit(write, api, random.Random(number))
            for number, api in enumerate((first, second) * 3)
        ]
        statuses = set[int]().union(*(future.result(100) for future in work))
    assert statuses <= {200, 201, 409, 422}, statuses
    assert first.sql(BROKEN_HISTORIES) == ""
    # In this test and those before it.
    assert "deadlock" not in first.server.log(first.database)
    assert first.failures() + second.failures() == []
