"""Tests that kill the service, its connections or the database during writes."""

import os
import random
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.operations import GATE, ORDER, PATIENT, Operations, replica, serve
from tests.support.operations_clerks import LOST, Clerks, committed_since, series_of
from tests.support.operations_locks import held, wait_for_blocked
from tests.support.postgres import TcpPostgres
from tests.support.service import Response
from tests.support.waiting import wait_until

ROUNDS = int(os.environ.get("ALIAPORT_KILL_ROUNDS", "5"))
SEED = int(os.environ.get("ALIAPORT_KILL_SEED") or random.SystemRandom().randrange(10**6))
"""Seed of all random moments and requests; a failed test prints it."""

CUTS, CRASHES = 6, 3

COUNTED = (
    "aliaport_work_orders_total",
    "aliaport_gate_logs_total",
    "aliaport_operations_transitions_total",
)
# While it waits, the server must not notice that its client is gone, or it would roll back.
WAIT_IN_COMMIT = """
CREATE FUNCTION wait_in_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('client_connection_check_interval', '0', true);
    PERFORM pg_advisory_xact_lock_shared(1);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER wait_in_commit AFTER INSERT ON aliaport_operations_work_orders
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_in_commit();
CREATE CONSTRAINT TRIGGER wait_in_commit AFTER INSERT ON aliaport_operations_gate_logs
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_in_commit();
CREATE CONSTRAINT TRIGGER wait_in_commit AFTER INSERT ON aliaport_operations_work_order_changes
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_in_commit()"""
ROWS = """
SELECT (SELECT count(*) FROM aliaport_operations_work_orders),
       (SELECT count(*) FROM aliaport_operations_gate_logs),
       (SELECT count(*) FROM aliaport_operations_work_order_changes),
       (SELECT max(version) FROM aliaport_operations_work_orders),
       (SELECT count(*) FROM aliaport_operations_idempotency_keys)"""
HELD = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'aliaport-operations_api'"""
CUT = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'aliaport-operations_api'"""


def wait_for_a_random_moment(rng: random.Random, clerks: Clerks, api: Operations) -> None:
    """Wait for some responses, and then for a random moment within a request."""
    clerks.wait_for_responses(rng.randrange(5, 120))
    wait_until(lambda: clerks.first_responses(api), "a counted write has succeeded")
    threading.Event().wait(rng.uniform(0, 0.02))


def summary(clerks: Clerks) -> str:
    return (
        f"seed {SEED}: {clerks.responses} responses, {clerks.lost} lost, {clerks.shed} refused, "
        f"{clerks.replayed} replayed, {clerks.given_up} given up, {len(clerks.orders)} orders, "
        f"{len(clerks.gate_logs)} gate logs"
    )


def check_counters(
    api: Operations, minimum: "Counter[str]", counters: dict[str, float], began: str
) -> None:
    """Check that each counter is between the responses of the process and the committed rows."""
    committed = committed_since(api, began)
    for series, value in counters.items():
        assert minimum[series] <= value <= committed[series], series
    assert sum(counters.values()) > 0


@pytest.mark.timeout(120 + 30 * ROUNDS)
def test_a_killed_service_leaves_no_partial_writes(server: TcpPostgres, tmp_path: Path) -> None:
    rng = random.Random(SEED)
    with serve(server, tmp_path / "first") as first:
        clerks = Clerks(SEED, first.account()["id"], [first])
    with clerks.at_work():
        for number in range(ROUNDS):
            began = first.sql("SELECT clock_timestamp()")
            with replica(first, tmp_path / f"round-{number}") as api:
                clerks.replicas = [api]
                wait_for_a_random_moment(rng, clerks, api)
                minimum = clerks.first_responses(api)
                counters = series_of(api, *COUNTED)
                api.service.signal(signal.SIGKILL)
                api.service.wait_ended()
                check_counters(api, minimum, counters, began)
        with replica(first, tmp_path / "last") as api:
            clerks.replicas = [api]
            clerks.wait_for_responses(20)
            clerks.finish()
            clerks.check(api)
    print(summary(clerks))


@pytest.mark.timeout(300)
def test_cut_connections_and_a_crashed_database_leave_no_partial_writes(
    own_server: TcpPostgres, tmp_path: Path
) -> None:
    rng = random.Random(SEED)
    with serve(own_server, tmp_path / "run") as api:
        began = api.sql("SELECT clock_timestamp()")
        clerks = Clerks(SEED, api.account()["id"], [api])
        with clerks.at_work():
            for _ in range(CUTS):
                wait_for_a_random_moment(rng, clerks, api)
                assert int(api.sql(CUT)) > 0
            for _ in range(CRASHES):
                wait_for_a_random_moment(rng, clerks, api)
                own_server.stop("immediate")
                own_server.start()
            wait_for_a_random_moment(rng, clerks, api)
            clerks.finish()
            check_counters(api, clerks.first_responses(api), series_of(api, *COUNTED), began)
            clerks.check(api)
        assert clerks.shed > 0, "no request was interrupted"
        assert clerks.lost == 0, "the service always responds, whatever the database does"
        assert api.failures() == []
    print(summary(clerks))


class Writes:
    """One write of each kind: a new order, a new gate log, and a status change of an older order."""

    def __init__(self, older: Any) -> None:
        account, path = older["account"]["id"], f"{ORDER}/{older['id']}/status"
        self.requests: list[tuple[str, Any, dict[str, str]]] = [
            (ORDER, {"account_id": account, "title": "yeni"}, {"Idempotency-Key": "order"}),
            (GATE, {"direction": "in", "plate": "34ABC123"}, {"Idempotency-Key": "gate log"}),
            (path, {"version": 1, "status": "planned"}, {}),
        ]

    def send(self, api: Operations) -> list[Response]:
        """Send the writes and return their responses. Repeated calls use the same keys."""
        return [
            api.call("POST", path, body, headers=headers) for path, body, headers in self.requests
        ]

    def kill_while_blocked(self, api: Operations, *locks: str) -> dict[str, float]:
        """Kill the service while the writes wait for these locks; return its counters before."""

        def lost(path: str, body: Any, headers: dict[str, str]) -> None:
            with pytest.raises(LOST):
                api.call("POST", path, body, headers=headers)

        with ThreadPoolExecutor(3) as threads, ExitStack() as stack:
            for lock in locks:
                stack.enter_context(held(api, lock))
            futures = [threads.submit(lost, *request) for request in self.requests]
            wait_for_blocked(api, 3)
            counters = series_of(api, *COUNTED)
            api.service.signal(signal.SIGKILL)
            api.service.wait_ended()
            for future in futures:
                future.result(30)
        wait_until(lambda: api.sql(HELD) == "0", "the server has closed the connections")
        return {series: n for series, n in counters.items() if n}


BEFORE = {'aliaport_work_orders_total{status="draft"}': 1.0}


def test_a_kill_before_the_commit_leaves_no_rows(server: TcpPostgres, tmp_path: Path) -> None:
    with serve(server, tmp_path / "first", **PATIENT) as first:
        writes = Writes(first.order())
        before = first.sql(ROWS)
        counters = writes.kill_while_blocked(
            first,
            "SELECT FROM aliaport_operations_accounts FOR UPDATE",
            "LOCK aliaport_operations_gate_logs IN SHARE MODE",
            "LOCK aliaport_operations_work_order_changes IN SHARE MODE",
        )
        assert counters == BEFORE, "rows must be counted after they are written"
        assert first.sql(ROWS) == before
    with replica(first, tmp_path / "second") as api:
        responses = writes.send(api)
        assert [response.status for response in responses] == [201, 201, 200]
        assert all("Idempotent-Replayed" not in response.headers for response in responses)
        assert api.sql(ROWS) == "2|1|1|2|2"


def test_a_repeated_request_succeeds_after_a_kill_during_the_commit(
    server: TcpPostgres, tmp_path: Path
) -> None:
    with serve(server, tmp_path / "first", **PATIENT) as first:
        writes = Writes(first.order())
        first.sql(WAIT_IN_COMMIT)
        counters = writes.kill_while_blocked(first, "SELECT pg_advisory_xact_lock(1)")
        assert counters == BEFORE, "rows must be counted after the commit"
        assert first.sql(ROWS) == "2|1|1|2|2", "the server has committed the writes"
    with replica(first, tmp_path / "second") as api:
        order, gate_log, moved = writes.send(api)
        assert (order.status, gate_log.status, moved.status) == (201, 201, 409)
        for response in (order, gate_log):
            assert response.headers["Idempotent-Replayed"] == "true"
            assert api.data("GET", response.headers["Location"]) == response.json["data"]
        assert moved.json["error"]["version"] == 2
        assert api.sql(ROWS) == "2|1|1|2|2"
        assert set(series_of(api, *COUNTED).values()) == {0.0}, (
            "a replay does not count as a new row"
        )
        assert api.metric("aliaport_operations_replayed_total") == 2
