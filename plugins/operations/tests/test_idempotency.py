"""Requests that are sent twice: one row, one answer, whatever happened to the first."""

import json
import socket
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.operations import CARI, GATE, ORDER, PATIENT, Operations, serve
from tests.support.operations_locks import held, wait_for_blocked
from tests.support.postgres import TcpPostgres
from tests.support.service import Response

KEYS = "aliaport_operations_idempotency_keys"
TABLES = {ORDER: "aliaport_operations_work_orders", GATE: "aliaport_operations_gate_logs"}
REPLAYED = "aliaport_operations_replayed_total"


@pytest.fixture(scope="module")
def api(server: TcpPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operations]:
    environ = PATIENT | {"ALIAPORT_PLUGINS__OPERATIONS__PURGE_INTERVAL": "1"}
    with serve(server, tmp_path_factory.mktemp("keys") / "run", **environ) as operations:
        yield operations


def new_key() -> str:
    return uuid.uuid4().hex


def body_of(api: Operations, path: str) -> Any:
    """A request that will be done."""
    if path == GATE:
        return {"direction": "in", "plate": "34 ABC 123", "driver": "Öğün", "passed_at": None}
    return {"account_id": api.account()["id"], "title": "Tahliye", "planned_for": "2027-01-01"}


def send(api: Operations, path: str, body: Any, key: str, **options: Any) -> Response:
    return api.call("POST", path, body, headers={"Idempotency-Key": key}, **options)


def rows(api: Operations, path: str) -> int:
    return int(api.sql(f"SELECT count(*) FROM {TABLES[path]}"))


def was_replayed(answer: Response) -> bool:
    return answer.headers.get("Idempotent-Replayed") == "true"


@pytest.mark.parametrize("path", [ORDER, GATE])
def test_a_repeated_request_gets_the_first_answer_to_the_byte(api: Operations, path: str) -> None:
    body, key = body_of(api, path), new_key()
    before, counted = rows(api, path), api.metric(REPLAYED)
    first = send(api, path, body, key)
    assert first.status == 201, first.text
    assert not was_replayed(first)
    for _ in range(2):
        again = send(api, path, body, key)
        assert again.status == 201
        assert was_replayed(again)
        assert again.headers["Location"] == first.headers["Location"]
        assert again.json == first.json
        assert again.text == first.text, "the same data in another order"
    assert rows(api, path) == before + 1
    assert api.metric(REPLAYED) == counted + 2


def test_the_first_answer_is_repeated_though_the_order_has_moved_on(api: Operations) -> None:
    body, key = body_of(api, ORDER), new_key()
    first = send(api, ORDER, body, key)
    made = first.json["data"]
    move = {"status": "planned", "version": 1}
    api.data("POST", f"{ORDER}/{made['id']}/status", move)
    deactivate = f"{CARI}/{body['account_id']}/deactivate"
    api.data("POST", deactivate, {"version": 1}, role="admin")
    again = send(api, ORDER, body, key)
    assert (again.status, again.json["data"], was_replayed(again)) == (201, made, True)


def test_only_creations_are_counted(api: Operations) -> None:
    body, key = body_of(api, ORDER), new_key()
    series = 'aliaport_work_orders_total{status="draft"}'
    before = api.metric(series)
    for _ in range(3):
        send(api, ORDER, body, key)
    assert api.metric(series) == before + 1


@pytest.mark.parametrize("path", [ORDER, GATE])
def test_a_key_is_for_one_request_only(api: Operations, path: str) -> None:
    body, key = body_of(api, path), new_key()
    first = send(api, path, body, key)
    before = rows(api, path)
    other_path = GATE if path == ORDER else ORDER
    changed = body | ({"title": "Yükleme"} if path == ORDER else {"direction": "out"})
    for place, other in ((path, changed), (other_path, body_of(api, other_path))):
        answer = send(api, place, other, key)
        assert answer.status == 422, answer.text
        (field,) = answer.json["error"]["fields"]
        assert field["path"] == "header.Idempotency-Key"
        assert "was used for another request" in field["message"]
    assert rows(api, path) == before
    assert send(api, path, body, key).text == first.text


def test_users_do_not_share_keys(api: Operations) -> None:
    body, key = body_of(api, ORDER), new_key()
    answers = [send(api, ORDER, body, key, role=role) for role in ("clerk", "admin")]
    assert [each.status for each in answers] == [201, 201]
    assert not any(map(was_replayed, answers))
    mine, others = (each.json["data"] for each in answers)
    assert mine["id"] != others["id"]
    assert (mine["created_by"], others["created_by"]) == ("clerk", "admin")
    for role, data in (("clerk", mine), ("admin", others)):
        assert send(api, ORDER, body, key, role=role).json["data"] == data


def test_a_request_that_failed_leaves_its_key_free(api: Operations) -> None:
    key, good = new_key(), body_of(api, ORDER)
    account = good["account_id"]
    switch = f"{CARI}/{account}"
    api.data("POST", f"{switch}/deactivate", {"version": 1}, role="admin")
    assert send(api, ORDER, good, key).status == 409
    assert send(api, ORDER, good | {"account_id": 999_999_999}, key).status == 422
    assert send(api, ORDER, good | {"title": ""}, key).status == 422
    assert send(api, ORDER, b"{", key).status == 400
    assert api.sql(f"SELECT FROM {KEYS} WHERE key = '{key}'") == ""
    api.data("POST", f"{switch}/activate", {"version": 2}, role="admin")
    answer = send(api, ORDER, good, key)
    assert (answer.status, was_replayed(answer)) == (201, False)


def test_a_correction_that_was_too_late_leaves_its_key_free(api: Operations) -> None:
    key = new_key()
    wrong = api.data("POST", GATE, body_of(api, GATE))["id"]
    right = api.data("POST", GATE, body_of(api, GATE) | {"corrects": wrong})["id"]
    assert send(api, GATE, body_of(api, GATE) | {"corrects": wrong}, key).status == 409
    answer = send(api, GATE, body_of(api, GATE) | {"corrects": right}, key)
    assert (answer.status, was_replayed(answer)) == (201, False)


@pytest.mark.parametrize("path", [ORDER, GATE])
def test_double_submits_at_once_make_one_row(api: Operations, path: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        for _ in range(5):
            body, key, before = body_of(api, path), new_key(), rows(api, path)
            answers = list(threads.map(lambda _: send(api, path, body, key), range(4)))
            assert [each.status for each in answers] == [201] * 4
            assert len({each.text for each in answers}) == 1
            assert sum(map(was_replayed, answers)) == 3
            assert rows(api, path) == before + 1


def test_of_two_requests_with_one_key_at_once_one_is_refused(api: Operations) -> None:
    body, key = body_of(api, ORDER), new_key()
    bodies = [body | {"title": f"Deneme {each}"} for each in range(4)]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda each: send(api, ORDER, each, key), bodies))
    assert sorted(each.status for each in answers) == [201, 422, 422, 422]
    assert len(api.data("GET", ORDER, account_id=body["account_id"])["items"]) == 1


def sent_only(api: Operations, path: str, body: Any, key: str) -> socket.socket:
    """The connection on which the request went out and no answer is read."""
    text = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {api.tokens['clerk']}\r\nIdempotency-Key: {key}\r\n"
        f"Content-Length: {len(text)}\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", api.service.port))
    connection.sendall(head.encode() + text)
    return connection


def test_an_answer_that_nobody_read_is_got_by_asking_again(api: Operations) -> None:
    for number in range(10):
        path = (ORDER, GATE)[number % 2]
        body, key, before = body_of(api, path), new_key(), rows(api, path)
        sent_only(api, path, body, key).close()
        answer = send(api, path, body, key)
        assert answer.status == 201, answer.text
        again = send(api, path, body, key)
        assert (again.text, was_replayed(again)) == (answer.text, True)
        assert rows(api, path) == before + 1, "the first request made another row"


def test_a_request_cut_off_in_the_middle_of_its_work_makes_no_second_row(api: Operations) -> None:
    body, key = body_of(api, ORDER), new_key()
    number = body["account_id"]
    lock = f"SELECT FROM aliaport_operations_accounts WHERE id = {number} FOR UPDATE"
    with ThreadPoolExecutor(1) as threads:
        with held(api, lock):
            cut = sent_only(api, ORDER, body, key)
            wait_for_blocked(api, 1)
            cut.close()
            asked = threads.submit(send, api, ORDER, body, key)
            wait_for_blocked(api, 2)
        answer = asked.result(30)
    assert answer.status == 201, answer.text
    listed = api.data("GET", ORDER, account_id=body["account_id"])["items"]
    assert listed == [answer.json["data"]]


@pytest.mark.parametrize("key", ["x", "A" * 100, 'a b;c="d"', "'; DROP TABLE x; --", "{}", "~!"])
def test_a_key_is_any_printable_text(api: Operations, key: str) -> None:
    body = body_of(api, GATE)
    answers = [send(api, GATE, body, key) for _ in range(2)]
    assert [each.status for each in answers] == [201, 201]
    assert was_replayed(answers[1])


@pytest.mark.parametrize("key", ["", "A" * 101, "ğ".encode().decode("latin-1"), "a\tb", "\x80"])
def test_a_wrong_key_is_refused(api: Operations, key: str) -> None:
    before = rows(api, GATE)
    answer = send(api, GATE, body_of(api, GATE), key)
    assert answer.status == 422
    (field,) = answer.json["error"]["fields"]
    assert field["path"] == "header.Idempotency-Key"
    assert rows(api, GATE) == before


def test_a_request_needs_no_key(api: Operations) -> None:
    body = body_of(api, ORDER)
    ids = {api.data("POST", ORDER, body)["id"] for _ in range(2)}
    assert len(ids) == 2


def test_a_key_does_not_count_where_it_has_no_meaning(api: Operations) -> None:
    made = api.order()
    path, key = f"{ORDER}/{made['id']}/status", new_key()
    body = {"status": "planned", "version": 1}
    assert send(api, path, body, key).status == 200
    assert send(api, path, body, key).status == 409
    assert api.sql(f"SELECT FROM {KEYS} WHERE key = '{key}'") == ""


def test_a_key_is_forgotten_when_its_time_is_over(api: Operations) -> None:
    series = 'aliaport_operations_purged_total{table="idempotency_keys"}'
    old, young = new_key(), new_key()
    body, before = body_of(api, ORDER), api.metric(series)
    first, kept = (send(api, ORDER, body, key).json["data"] for key in (old, young))
    for key, age in ((old, "24 hours 1 second"), (young, "23 hours 59 minutes")):
        api.sql(f"UPDATE {KEYS} SET created_at = now() - interval '{age}' WHERE key = '{key}'")
    api.service.wait_for(
        lambda: (
            api.sql(f"SELECT FROM {KEYS} WHERE key = '{old}'") == ""
            and api.metric(series) == before + 1
        ),
        "the key is removed and counted",
    )
    again = send(api, ORDER, body, old)
    assert (again.status, was_replayed(again)) == (201, False)
    assert again.json["data"]["id"] != first["id"]
    assert send(api, ORDER, body, young).json["data"] == kept
