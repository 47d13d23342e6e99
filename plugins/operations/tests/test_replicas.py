"""Tests of three replicas on one database: started together, restarted one by one."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.operations import GATE, ORDER, PATIENT, ROLES, Operations, begin, wait_serving
from tests.support.operations_clerks import Clerks, check_gauges, series_of
from tests.support.operations_locks import held, wait_for_blocked
from tests.support.postgres import TcpPostgres
from tests.support.service import Service

FROM_THE_DATABASE = (
    "aliaport_operations_accounts",
    "aliaport_operations_work_orders",
    "aliaport_operations_work_orders_created",
    "aliaport_operations_gate_logs",
    "aliaport_active_users",
)
SMALL_POOL = PATIENT | {"ALIAPORT_APPS__OPERATIONS__POOL_SIZE": "3"}
COUNTED = ("aliaport_work_orders_total", "aliaport_gate_logs_total")


@contextmanager
def started_together(server: TcpPostgres, folder: Path, number: int) -> Iterator[list[Operations]]:
    """Start replicas on an empty database, with a user of each role."""
    database, tokens = server.new_database("replicas"), dict[str, str]()
    services = [
        begin(server, database, folder / str(index), **SMALL_POOL) for index in range(number)
    ]
    replicas = [Operations(service, server, database, tokens) for service in services]
    try:
        for service in services:
            wait_ready(service)
        for role in ROLES:
            tokens[role] = replicas[0].token(replicas[0].add_user(role, role))
        yield replicas
    finally:
        for replica in replicas:
            replica.service.process.kill()
            replica.service.process.wait()


def wait_ready(service: Service) -> None:
    wait_serving(service)
    service.wait_for(lambda: service.get("/ready").status == 200, "/ready is 200")


@pytest.fixture(scope="module")
def replicas(
    server: TcpPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Operations]]:
    with started_together(server, tmp_path_factory.mktemp("replicas"), 3) as replicas:
        yield replicas


def test_all_start_together_on_an_empty_database(replicas: list[Operations]) -> None:
    applied = "SELECT count(*), count(DISTINCT number), max(number) FROM aliaport_migrations"
    steps = replicas[0].sql(f"{applied} WHERE component = 'operations'")
    assert len(set(steps.split("|"))) == 1, f"each migration is applied once: {steps}"
    for replica in replicas:
        assert "app.start_failed" not in [event["message"] for event in replica.events()]
        section = replica.service.get("/status").json["data"]["operations"]
        assert section["schema_version"] == int(steps.split("|")[0])


def test_all_report_the_same_totals_and_count_only_their_own_work(
    replicas: list[Operations],
) -> None:
    first, second, idle = replicas
    account = first.account()["id"]
    for _ in range(3):
        first.order(account_id=account)
    second.order(account_id=account, status="planned")
    second.data("POST", GATE, {"direction": "out", "plate": "34ABC123"})
    totals = [series_of(replica, *FROM_THE_DATABASE) for replica in replicas]
    assert totals[0] == totals[1] == totals[2]
    assert totals[0]["aliaport_active_users"] == 1 + len({"viewer", "admin"})
    check_gauges(idle)
    own = [
        {series: n for series, n in series_of(replica, *COUNTED).items() if n}
        for replica in replicas
    ]
    assert own == [
        {'aliaport_work_orders_total{status="draft"}': 3},
        {
            'aliaport_work_orders_total{status="planned"}': 1,
            'aliaport_gate_logs_total{direction="out"}': 1,
        },
        {},
    ]
    assert set(series_of(idle, *COUNTED).values()) == {0.0}, "counters start at 0"


def test_writes_of_one_replica_are_visible_to_the_others_at_once(
    replicas: list[Operations],
) -> None:
    first, second, third = replicas
    order = first.order()
    path = f"{ORDER}/{order['id']}"
    moved = second.data("POST", f"{path}/status", {"version": 1, "status": "planned"})
    assert third.data("GET", path) == moved
    refused = first.refused(409, "PUT", path, {"version": 1, "title": "başka"})
    assert (refused["code"], refused["version"]) == ("version_conflict", 2)
    assert third.call("POST", "/auth/logout", role="viewer").status == 200
    assert first.get("/auth/me", role="viewer").status == 401
    first.tokens["viewer"] = first.token("viewer")


def test_a_running_request_is_completed_before_the_service_stops(
    replicas: list[Operations],
) -> None:
    leaving = replicas[2]
    account = leaving.account()["id"]
    body = {"account_id": account, "title": "yolda"}
    with ThreadPoolExecutor(1) as threads, ExitStack() as locks:
        locks.enter_context(held(leaving, "LOCK aliaport_operations_work_orders IN SHARE MODE"))
        response = threads.submit(leaving.call, "POST", ORDER, body)
        wait_for_blocked(leaving, 1)
        leaving.service.signal(signal.SIGTERM)
        leaving.service.wait_for(
            lambda: leaving.service.events("service.draining"), "the service is draining"
        )
        locks.close()
        assert response.result(30).status == 201, response.result().text
    assert leaving.service.wait_ended() == 0
    titles = [
        order["title"] for order in replicas[0].data("GET", ORDER, account_id=account)["items"]
    ]
    assert titles == ["yolda"]


def test_a_starting_replica_never_responds_404_to_a_route(
    replicas: list[Operations], tmp_path: Path
) -> None:
    service = begin(replicas[0].server, replicas[0].database, tmp_path, **SMALL_POOL)
    try:
        statuses = {0}

        def responds() -> bool:
            statuses.add(service.get(ORDER).status)
            return 401 in statuses

        service.wait_for(responds, "the application responds")
        assert statuses <= {0, 503, 401}
    finally:
        service.process.kill()
        service.process.wait()


@pytest.mark.timeout(300)
def test_a_rolling_restart_loses_nothing(server: TcpPostgres, tmp_path: Path) -> None:
    with started_together(server, tmp_path, 2) as pair:
        clerks = Clerks(1, pair[0].account()["id"], pair)
        with clerks.at_work():
            for number, leaving in enumerate(pair):
                clerks.wait_for_responses(50)
                leaving.service.signal(signal.SIGTERM)
                assert leaving.service.wait_ended() == 0
                logged = [event["message"] for event in leaving.service.events()]
                assert "request.failed" not in logged
                staying = pair[1 - number]
                clerks.replicas = [staying]
                clerks.wait_for_responses(50)
                folder = leaving.service.folder
                service = begin(server, leaving.database, folder, **SMALL_POOL)
                pair[number] = replace(leaving, service=service)
                wait_ready(service)
                clerks.replicas = pair
            clerks.wait_for_responses(50)
            clerks.finish()
        clerks.check(pair[0])
        assert clerks.shed == 0, "no request was refused"
