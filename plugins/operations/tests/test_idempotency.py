"""Tests of repeated requests: one row and one response, whatever happened to the first."""

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
    """Return a valid body."""
    if path == GATE:
        return {"direction": "in", "plate": "34 ABC 123", "driver": "Öğün", "passed_at": None}
    return {"account_id": api.account()["id"], "title": "Tahliye", "planned_for": "2027-01-01"}


def send(api: Operations, path: str, body: Any, key: str, **options: Any) -> Response:
    return api.call("POST", path, body, headers={"Idempotency-Key": key}, **options)


def rows(api: Operations, path: str) -> int:
    return int(api.sql(f"SELECT count(*) FROM {TABLES[path]}"))


def was_replayed(response: Response) -> bool:
    return response.headers.get("Idempotent-Replayed") == "true"


@pytest.mark.parametrize("path", [ORDER, GATE])
def test_a_repeated_request_gets_the_first_response_byte_for_byte(
    api: Operations, path: str
) -> None:
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
        assert again.text == first.text, "the order of the data differs"
    assert rows(api, path) == before + 1
    assert api.metric(REPLAYED) == counted + 2


def test_the_first_response_is_repeated_although_the_order_has_changed(api: Operations) -> None:
    body, key = body_of(api, ORDER), new_key()
    first = send(api, ORDER, body, key)
    created = first.json["data"]
    move = {"status": "planned", "version": 1}
    api.data("POST", f"{ORDER}/{created['id']}/status", move)
    deactivate = f"{CARI}/{body['account_id']}/deactivate"
    api.data("POST", deactivate, {"version": 1}, role="admin")
    again = send(api, ORDER, body, key)
    assert (again.status, again.json["data"], was_replayed(again)) == (201, created, True)


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
        response = send(api, place, other, key)
        assert response.status == 422, response.text
        (field,) = response.json["error"]["fields"]
        assert field["path"] == "header.Idempotency-Key"
        assert "was already used for another request" in field["message"]
    assert rows(api, path) == before
    assert send(api, path, body, key).text == first.text


def test_users_do_not_share_keys(api: Operations) -> None:
    body, key = body_of(api, ORDER), new_key()
    responses = [send(api, ORDER, body, key, role=role) for role in ("clerk", "admin")]
    assert [response.status for response in responses] == [201, 201]
    assert not any(map(was_replayed, responses))
    mine, others = (response.json["data"] for response in responses)
    assert mine["id"] != others["id"]
    assert (mine["created_by"], others["created_by"]) == ("clerk", "admin")
    for role, data in (("clerk", mine), ("admin", others)):
        assert send(api, ORDER, body, key, role=role).json["data"] == data


def test_a_failed_request_leaves_its_key_free(api: Operations) -> None:
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
    response = send(api, ORDER, good, key)
    assert (response.status, was_replayed(response)) == (201, False)


def test_a_refused_correction_leaves_its_key_free(api: Operations) -> None:
    key = new_key()
    wrong = api.data("POST", GATE, body_of(api, GATE))["id"]
    right = api.data("POST", GATE, body_of(api, GATE) | {"corrects": wrong})["id"]
    assert send(api, GATE, body_of(api, GATE) | {"corrects": wrong}, key).status == 409
    response = send(api, GATE, body_of(api, GATE) | {"corrects": right}, key)
    assert (response.status, was_replayed(response)) == (201, False)


@pytest.mark.parametrize("path", [ORDER, GATE])
def test_concurrent_double_submits_create_one_row(api: Operations, path: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        for _ in range(5):
            body, key, before = body_of(api, path), new_key(), rows(api, path)
            responses = list(threads.map(lambda _: send(api, path, body, key), range(4)))
            assert [response.status for response in responses] == [201] * 4
            assert len({response.text for response in responses}) == 1
            assert sum(map(was_replayed, responses)) == 3
            assert rows(api, path) == before + 1


def test_only_one_of_several_concurrent_requests_with_one_key_succeeds(api: Operations) -> None:
    body, key = body_of(api, ORDER), new_key()
    bodies = [body | {"title": f"Deneme {number}"} for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        responses = list(threads.map(lambda body: send(api, ORDER, body, key), bodies))
    assert sorted(response.status for response in responses) == [201, 422, 422, 422]
    assert len(api.data("GET", ORDER, account_id=body["account_id"])["items"]) == 1


def sent_only(api: Operations, path: str, body: Any, key: str) -> socket.socket:
    """Send a request without reading its response, and return the connection."""
    text = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {api.tokens['clerk']}\r\nIdempotency-Key: {key}\r\n"
        f"Content-Length: {len(text)}\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", api.service.port))
    connection.sendall(head.encode() + text)
    return connection


def test_a_lost_response_is_returned_to_the_repeated_request(api: Operations) -> None:
    for number in range(10):
        path = (ORDER, GATE)[number % 2]
        body, key, before = body_of(api, path), new_key(), rows(api, path)
        sent_only(api, path, body, key).close()
        response = send(api, path, body, key)
        assert response.status == 201, response.text
        again = send(api, path, body, key)
        assert (again.text, was_replayed(again)) == (response.text, True)
        assert rows(api, path) == before + 1, "the first request created another row"


def test_a_request_cut_off_while_it_is_handled_creates_no_second_row(api: Operations) -> None:
    body, key = body_of(api, ORDER), new_key()
    number = body["account_id"]
    lock = f"SELECT FROM aliaport_operations_accounts WHERE id = {number} FOR UPDATE"
    with ThreadPoolExecutor(1) as threads:
        with held(api, lock):
            cut = sent_only(api, ORDER, body, key)
            wait_for_blocked(api, 1)
            cut.close()
            repeated = threads.submit(send, api, ORDER, body, key)
            wait_for_blocked(api, 2)
        response = repeated.result(30)
    assert response.status == 201, response.text
    listed = api.data("GET", ORDER, account_id=body["account_id"])["items"]
    assert listed == [response.json["data"]]


@pytest.mark.parametrize("key", ["x", "A" * 100, 'a b;c="d"', "'; DROP TABLE x; --", "{}", "~!"])
def test_a_key_can_be_any_printable_text(api: Operations, key: str) -> None:
    body = body_of(api, GATE)
    responses = [send(api, GATE, body, key) for _ in range(2)]
    assert [response.status for response in responses] == [201, 201]
    assert was_replayed(responses[1])


@pytest.mark.parametrize("key", ["", "A" * 101, "ğ".encode().decode("latin-1"), "a\tb", "\x80"])
def test_an_invalid_key_is_refused(api: Operations, key: str) -> None:
    before = rows(api, GATE)
    response = send(api, GATE, body_of(api, GATE), key)
    assert response.status == 422
    (field,) = response.json["error"]["fields"]
    assert field["path"] == "header.Idempotency-Key"
    assert rows(api, GATE) == before


def test_the_key_is_optional(api: Operations) -> None:
    body = body_of(api, ORDER)
    ids = {api.data("POST", ORDER, body)["id"] for _ in range(2)}
    assert len(ids) == 2


def test_a_key_is_ignored_by_routes_that_do_not_accept_it(api: Operations) -> None:
    created = api.order()
    path, key = f"{ORDER}/{created['id']}/status", new_key()
    body = {"status": "planned", "version": 1}
    assert send(api, path, body, key).status == 200
    assert send(api, path, body, key).status == 409
    assert api.sql(f"SELECT FROM {KEYS} WHERE key = '{key}'") == ""


def test_an_expired_key_is_removed(api: Operations) -> None:
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
