"""Kills in the middle of writing: of the service, of its connections, of the database."""

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

ROUNDS = int(os.environ.get("ALIAPORT_KILL_ROUNDS", "8"))
SEED = int(os.environ.get("ALIAPORT_KILL_SEED") or random.SystemRandom().randrange(10**6))
"""Of all random moments and requests; a failed test shows it."""

CUTS, CRASHES = 6, 3

COUNTED = (
    "aliaport_work_orders_total",
    "aliaport_gate_logs_total",
    "aliaport_operations_transitions_total",
)
WAIT_IN_COMMIT = """
CREATE FUNCTION wait_in_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$;
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


def a_random_moment(chance: random.Random, clerks: Clerks, api: Operations) -> None:
    """Some answers from now, and then anywhere in the middle of a request."""
    clerks.wait_for_responses(chance.randrange(5, 120))
    wait_until(lambda: clerks.first_responses(api), "something was written that is counted")
    threading.Event().wait(chance.uniform(0, 0.02))


def told(clerks: Clerks) -> str:
    return (
        f"seed {SEED}: {clerks.responses} answers, {clerks.lost} lost, {clerks.shed} refused, "
        f"{clerks.replayed} replayed, {clerks.given_up} given up, {len(clerks.orders)} orders, "
        f"{len(clerks.gate_logs)} gate logs"
    )


def check_counters(
    api: Operations, least: "Counter[str]", counters: dict[str, float], began: str
) -> None:
    """Each is between what the process had answered before and what is committed."""
    committed = committed_since(api, began)
    for series, value in counters.items():
        assert least[series] <= value <= committed[series], series
    assert sum(counters.values()) > 0


@pytest.mark.timeout(120 + 30 * ROUNDS)
def test_a_killed_service_leaves_nothing_half_done(server: TcpPostgres, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    with serve(server, tmp_path / "first") as first:
        clerks = Clerks(SEED, first.account()["id"], [first])
    with clerks.at_work():
        for number in range(ROUNDS):
            began = first.sql("SELECT clock_timestamp()")
            with replica(first, tmp_path / f"round-{number}") as api:
                clerks.replicas = [api]
                a_random_moment(chance, clerks, api)
                least = clerks.first_responses(api)
                counters = series_of(api, *COUNTED)
                api.service.signal(signal.SIGKILL)
                api.service.wait_ended()
                check_counters(api, least, counters, began)
        with replica(first, tmp_path / "last") as api:
            clerks.replicas = [api]
            clerks.wait_for_responses(20)
            clerks.finish()
            clerks.check(api)
    print(told(clerks))


@pytest.mark.timeout(300)
def test_cut_connections_and_a_crashed_database_leave_nothing_half_done(
    own_server: TcpPostgres, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    with serve(own_server, tmp_path / "run") as api:
        began = api.sql("SELECT clock_timestamp()")
        clerks = Clerks(SEED, api.account()["id"], [api])
        with clerks.at_work():
            for _ in range(CUTS):
                a_random_moment(chance, clerks, api)
                assert int(api.sql(CUT)) > 0
            for _ in range(CRASHES):
                a_random_moment(chance, clerks, api)
                own_server.stop("immediate")
                own_server.start()
            a_random_moment(chance, clerks, api)
            clerks.finish()
            check_counters(api, clerks.first_responses(api), series_of(api, *COUNTED), began)
            clerks.check(api)
        assert clerks.shed > 0, "no request was hit"
        assert clerks.lost == 0, "the service answers whatever the database does"
        assert api.failures() == []
    print(told(clerks))


class Three:
    """One write of each kind: a new order, a new gate log, and a move of an older order."""

    def __init__(self, older: Any) -> None:
        account, path = older["account"]["id"], f"{ORDER}/{older['id']}/status"
        self.requests: list[tuple[str, Any, dict[str, str]]] = [
            (ORDER, {"account_id": account, "title": "yeni"}, {"Idempotency-Key": "order"}),
            (GATE, {"direction": "in", "plate": "34ABC123"}, {"Idempotency-Key": "gate log"}),
            (path, {"version": 1, "status": "planned"}, {}),
        ]

    def send(self, api: Operations) -> list[Response]:
        """The answers; a repetition has the same keys."""
        return [
            api.call("POST", path, body, headers=headers) for path, body, headers in self.requests
        ]

    def hang_and_die(self, api: Operations, *locks: str) -> dict[str, float]:
        """Send all three into these locks and kill the service; return its counters before."""

        def lost(path: str, body: Any, headers: dict[str, str]) -> None:
            with pytest.raises(LOST):
                api.call("POST", path, body, headers=headers)

        with ThreadPoolExecutor(3) as threads, ExitStack() as stack:
            for lock in locks:
                stack.enter_context(held(api, lock))
            asked = [threads.submit(lost, *each) for each in self.requests]
            wait_for_blocked(api, 3)
            counters = series_of(api, *COUNTED)
            api.service.signal(signal.SIGKILL)
            api.service.wait_ended()
            for each in asked:
                each.result(30)
        wait_until(lambda: api.sql(HELD) == "0", "the server has let the connections go")
        return {series: n for series, n in counters.items() if n}


BEFORE = {'aliaport_work_orders_total{status="draft"}': 1.0}


def test_a_kill_before_the_commit_leaves_nothing(server: TcpPostgres, tmp_path: Path) -> None:
    with serve(server, tmp_path / "first", **PATIENT) as first:
        three = Three(first.order())
        before = first.sql(ROWS)
        counters = three.hang_and_die(
            first,
            "SELECT FROM aliaport_operations_accounts FOR UPDATE",
            "LOCK aliaport_operations_gate_logs IN SHARE MODE",
            "LOCK aliaport_operations_work_order_changes IN SHARE MODE",
        )
        assert counters == BEFORE, "counted before it was written"
        assert first.sql(ROWS) == before
    with replica(first, tmp_path / "second") as api:
        answers = three.send(api)
        assert [each.status for each in answers] == [201, 201, 200]
        assert all("Idempotent-Replayed" not in each.headers for each in answers)
        assert api.sql(ROWS) == "2|1|1|2|2"


def test_a_kill_in_the_commit_is_made_good_by_the_repetition(
    server: TcpPostgres, tmp_path: Path
) -> None:
    with serve(server, tmp_path / "first", **PATIENT) as first:
        three = Three(first.order())
        first.sql(WAIT_IN_COMMIT)
        counters = three.hang_and_die(first, "SELECT pg_advisory_xact_lock(1)")
        assert counters == BEFORE, "counted before it was committed"
        assert first.sql(ROWS) == "2|1|1|2|2", "the server has committed what it was told to"
    with replica(first, tmp_path / "second") as api:
        order, gate_log, moved = three.send(api)
        assert (order.status, gate_log.status, moved.status) == (201, 201, 409)
        for each in (order, gate_log):
            assert each.headers["Idempotent-Replayed"] == "true"
            assert api.data("GET", each.headers["Location"]) == each.json["data"]
        assert moved.json["error"]["version"] == 2
        assert api.sql(ROWS) == "2|1|1|2|2"
        assert set(series_of(api, *COUNTED).values()) == {0.0}, "a replay is no new row"
        assert api.metric("aliaport_operations_replayed_total") == 2
