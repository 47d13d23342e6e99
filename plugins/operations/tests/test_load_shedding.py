"""Tests of overload and database failures: requests are refused in time, and the API recovers."""

import os
import signal
import socket
import struct
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import pytest
from aliaport_operations import saturation

from tests.support.operations import CARI, ORDER, Operations, serve
from tests.support.operations_locks import Transaction, held, wait_for_blocked
from tests.support.postgres import TcpPostgres
from tests.support.service import Response
from tests.support.waiting import wait_until

POOL = 'aliaport_db_pool_used{component="operations_api"}'
ACQUIRE_TIMEOUT = 1
SHED = 'aliaport_operations_shed_total{reason="pool"}'
OURS = "application_name = 'aliaport-operations_api'"


@pytest.fixture(scope="module")
def server(own_server: TcpPostgres) -> TcpPostgres:
    """Return a server for this file alone, since its tests stop and freeze it."""
    return own_server


@pytest.fixture(scope="module")
def api(server: TcpPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operations]:
    """Start a service with one connection, for which two requests can wait."""
    folder = tmp_path_factory.mktemp("load") / "run"
    settings = {
        "POOL_SIZE": "1",
        "MAX_WAITING": "2",
        "ACQUIRE_TIMEOUT": str(ACQUIRE_TIMEOUT),
        # Long enough for a busy machine to send requests while the connection is in use.
        "STATEMENT_TIMEOUT": "4",
    }
    environ: dict[str, Any] = {
        f"ALIAPORT_APPS__OPERATIONS__{name}": value for name, value in settings.items()
    }
    # A scrape must not wait for a table that a test has locked.
    environ["ALIAPORT_PLUGINS__OPERATIONS__TOTALS_INTERVAL"] = "3600"
    with serve(server, folder, **environ) as operations:
        operations.metric(SHED)
        yield operations


@pytest.fixture(autouse=True)
def check_recovery(api: Operations) -> Iterator[None]:
    """Check after each test that the connection is free, and reported as free."""
    yield
    wait_until(lambda: api.get("/auth/me").status == 200, "requests are served again")
    wait_until(lambda: api.metric(POOL) == 0, "the pool's gauge is back at 0")
    wait_until(lambda: section(api)["pool_used"] == 0, "the probe reports no used connections")
    assert section(api)["pool_max"] == 1


def section(api: Operations) -> Any:
    return api.service.get("/status").json["data"]["operations"]


def probe(api: Operations) -> Any:
    return api.service.get("/status/operations").json["data"]


def locked(api: Operations) -> AbstractContextManager[Transaction]:
    return held(api, "LOCK TABLE aliaport_operations_accounts IN ACCESS EXCLUSIVE MODE")


def assert_refused(response: Response, code: str) -> None:
    assert (response.status, response.json["error"]["code"]) == (503, code), response.text
    assert int(response.headers["Retry-After"]) >= 1
    text = response.text.lower()
    assert not [word for word in ("select", "postgres", "asyncpg", "traceback") if word in text]


def assert_holder_is_logged(api: Operations, response: Response) -> None:
    """Check that the log, and not the response, says which session holds the lock."""
    (event,) = [
        event
        for event in api.events()
        if event["message"] == "operations.database_failed"
        and event.get("http.request.id") == response.headers["X-Request-ID"]
    ]
    assert event["aliaport.code"] == "statement_timeout"
    assert "aliaport_operations_accounts" in event["labels.statement"]
    assert event["labels.waited_for"] == "lock"
    assert "idle in transaction" in event["labels.lock_holders"]
    assert not [word for word in ("process", "aliaport_", "lock") if word in response.text]


def assert_works(api: Operations) -> None:
    """Check the endpoints for load balancers, which do not depend on the load of the API."""
    assert api.service.get("/health").status == 200
    assert api.service.get("/ready").status == 200


def seconds_of(api: Operations, responses: list[Response]) -> list[float]:
    """Return the logged durations of these responses in seconds."""
    ids = {response.headers["X-Request-ID"] for response in responses}
    return [
        event["event.duration"] / 1e9
        for event in api.events()
        if event.get("http.request.id") in ids and event["message"] == "request.answered"
    ]


def eventually_works(api: Operations) -> None:
    wait_until(lambda: api.get(CARI).status == 200, "the API recovers without a restart")


def test_requests_without_a_connection_are_refused_and_the_queue_is_bounded(
    api: Operations,
) -> None:
    before = api.metric(SHED)
    with ThreadPoolExecutor(7) as threads, locked(api):
        hanging = threads.submit(api.get, CARI)
        wait_for_blocked(api, 1)
        responses = list(threads.map(lambda _: api.get("/auth/me"), range(6)))
        for response in responses:
            assert_refused(response, "overloaded")
        assert_works(api)
        # The statement timeout ends the hanging request, although the lock is still held.
        assert_refused(hanging.result(), "statement_timeout")
    assert_holder_is_logged(api, hanging.result())
    times = sorted(seconds_of(api, responses))
    waited = [seconds > ACQUIRE_TIMEOUT / 2 for seconds in times]
    assert waited == [False] * 4 + [True] * 2, (
        f"two requests can wait, the others are refused at once: {times}"
    )
    assert api.metric(SHED) == before + 6
    result = probe(api)
    assert (result["status"], result["code"]) == ("degraded", "overloaded"), result
    assert result["data"]["refused_last_minute"] >= 6
    assert section(api)["refused_last_minute"] >= 6
    assert_works(api)
    eventually_works(api)


def test_a_refusal_is_recent_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    counted = saturation.Saturation()
    counted.shed()
    now += 30
    counted.shed()
    assert counted.recently_shed() == 2
    now += 29.9
    assert counted.recently_shed() == 2
    now += 0.2
    assert counted.recently_shed() == 1
    now += 30
    assert counted.recently_shed() == 0


def test_a_statement_that_times_out_leaves_nothing_behind(api: Operations) -> None:
    account = api.account()
    body = {"account_id": account["id"], "title": "Tahliye"}
    key = {"Idempotency-Key": uuid.uuid4().hex}
    with held(
        api, f"SELECT FROM aliaport_operations_accounts WHERE id = {account['id']} FOR UPDATE"
    ):
        assert_refused(api.call("POST", ORDER, body, headers=key), "statement_timeout")
    count = "SELECT count(*) FROM aliaport_operations_work_orders"
    of_account = f"{count} WHERE account_id = {account['id']}"
    assert api.sql(of_account) == "0"
    response = api.call("POST", ORDER, body, headers=key)
    assert (response.status, response.headers.get("Idempotent-Replayed")) == (201, None), (
        response.text
    )
    assert api.sql(of_account) == "1"


def send_and_hang_up(api: Operations, body: bytes, *, reset: bool) -> None:
    """Send a whole request, and close the connection without reading the response."""
    head = (
        f"POST {ORDER} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.tokens['clerk']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", api.service.port)) as connection:
        connection.sendall(head.encode() + body)
        if reset:
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def test_callers_that_hang_up_during_a_write_leak_no_connection(api: Operations) -> None:
    number = api.account()["id"]
    body = f'{{"account_id": {number}, "title": "Tahliye"}}'.encode()
    row = f"SELECT FROM aliaport_operations_accounts WHERE id = {number} FOR UPDATE"
    for reset in (False, True):
        with held(api, row):
            send_and_hang_up(api, body, reset=reset)
            wait_for_blocked(api, 1)
        eventually_works(api)
    for turn in range(10):
        send_and_hang_up(api, body, reset=turn % 2 == 0)
    wait_until(lambda: api.metric(POOL) == 0, "no connection is left in use")
    eventually_works(api)
    halves = api.sql(
        "SELECT count(*) FROM aliaport_operations_work_orders "
        f"WHERE account_id = {number} AND (version <> 1 OR status <> 'draft')"
    )
    assert halves == "0"


def test_a_frozen_database_is_reported_in_time_and_the_api_recovers(api: Operations) -> None:
    api.server.freeze()
    try:
        # The first has a connection that hangs, the second cannot open one.
        for _ in range(2):
            assert_refused(api.call("GET", CARI), "database_unavailable")
        assert_works(api)
        wait_until(lambda: probe(api)["code"] == "database", "the probe notices")
    finally:
        api.server.thaw()
    eventually_works(api)
    wait_until(lambda: probe(api)["code"] != "database", "the probe recovers")


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_stopped_database_is_reported_and_its_return_noticed(api: Operations, mode: str) -> None:
    api.server.stop(mode)
    try:
        for _ in range(3):
            assert_refused(api.call("GET", CARI), "database_unavailable")
        assert_refused(api.sign_in("clerk"), "database_unavailable")
        assert_works(api)
    finally:
        api.server.start()
    eventually_works(api)


def unavailable_or(status: int) -> Callable[[Response], bool]:
    """Return a function that accepts this status or 503 `database_unavailable` only."""

    def right(response: Response) -> bool:
        if response.status == status:
            return True
        assert_refused(response, "database_unavailable")
        return False

    return right


def test_a_killed_database_process_causes_only_503s(api: Operations) -> None:
    eventually_works(api)
    # The previous process may still be stopping.
    ours = f"SELECT pid FROM pg_stat_activity WHERE {OURS} ORDER BY backend_start DESC LIMIT 1"
    os.kill(int(api.sql(ours)), signal.SIGKILL)
    right = unavailable_or(200)
    wait_until(
        lambda: right(api.get(CARI)), "the API recovers while PostgreSQL restarts its processes"
    )


def test_a_database_that_refuses_connections_is_reported_as_unavailable(api: Operations) -> None:
    switch = f"ALTER DATABASE {api.database} WITH ALLOW_CONNECTIONS"
    api.server.sql(f"{switch} false", "postgres")
    try:
        end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OURS}"
        api.server.sql(end, "postgres")
        right = unavailable_or(200)
        wait_until(lambda: not right(api.get(CARI)), "the closed connection is noticed")
        assert_refused(api.get(CARI), "database_unavailable")
    finally:
        api.server.sql(f"{switch} true", "postgres")
    eventually_works(api)


def test_a_write_to_a_read_only_server_is_reported_as_unavailable(api: Operations) -> None:
    account = {"code": f"RO-{uuid.uuid4().hex[:8].upper()}", "title": "Deneme", "kind": "both"}
    switch = f"ALTER DATABASE {api.database} SET default_transaction_read_only"
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OURS}"
    api.server.sql(f"{switch} = on; {end}", "postgres")
    try:
        right = unavailable_or(200)
        wait_until(lambda: right(api.get(CARI)), "a connection is open to the read-only database")
        assert_refused(api.call("POST", CARI, account), "database_unavailable")
    finally:
        api.server.sql(f"{switch} = off; {end}", "postgres")
    wait_until(
        lambda: api.call("POST", CARI, account).status == 201, "the write succeeds in the end"
    )
