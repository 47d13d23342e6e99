"""Every query of every dashboard, run on a real Prometheus that monitors a service in use."""

import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.alerts.stack.stack import Stack
from tests.grafana.dashboards import (
    VARIABLES,
    Json,
    dashboards,
    substituted,
    surroundings,
    targets,
    variable,
)
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.needs("root", "unshare", "prometheus", "alertmanager", "exporters", "postgresql15"),
    pytest.mark.timeout(600),
]

PASSWORD = "öyle bir parola 42"
HERE = {**VARIABLES, "$__rate_interval": "20s", "$__interval": "5s", "$__range": "60s"}
"""Scrapes are 1.25 s apart here."""

PATIENCE = 60.0
ABSENT = {
    "Certificate Expires In": "the service of the tests has no certificate",
    "Series Dropped": "nothing is dropped",
    "CPU Throttled": "the tests have no CPU quota",
    "Active Users": "nobody used the service a week ago",
}
"""Panels with a query whose series cannot exist here, each with the reason."""


class Users(threading.Thread):
    """Calls each route that has an objective, and one that fails, again and again."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(name="users", daemon=True)
        self._stack = stack
        self._ended = threading.Event()
        self._token = ""
        self.responses: set[tuple[str, str, int]] = set()

    def run(self) -> None:
        number = 0
        while not self._ended.wait(0.1):
            number += 1
            account = {"code": f"A-{number}", "title": f"Deneme {number}", "kind": "customer"}
            made = self._call("POST", "/api/cari", account)
            for status in ("draft", "planned"):
                order = {"account_id": made["data"]["id"], "title": "Tahliye", "status": status}
                self._call("POST", "/api/work-order", order)
            for direction in ("in", "out"):
                passage = {"direction": direction, "plate": f"34 ABC {number}"}
                self._call("POST", "/api/gate-log", passage)
            for path in ("/api/cari", "/api/work-order", "/api/gate-log", "/health", "/nothing"):
                self._call("GET", path)

    def sign_in(self) -> None:
        done = self._stack.backend.command(
            "aliaport_operations.cli", "user", "add", "clerk", "--role", "clerk",
            "--password-stdin", typed=f"{PASSWORD}\n",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        body = {"username": "clerk", "password": PASSWORD}
        self._token = self._call("POST", "/auth/login", body)["data"]["token"]

    def end(self) -> None:
        self._ended.set()
        self.join(30)

    def _call(self, method: str, path: str, body: Json | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._stack.backend.port, timeout=10)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            response = connection.getresponse()
            self.responses.add((method, path, response.status))
            return json.loads(response.read())
        finally:
            connection.close()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack"), with_operations=True) as stack:
        wait_until(stack.watched, "every target is scraped", PATIENCE)
        users = Users(stack)
        users.sign_in()
        users.start()
        try:
            yield stack
        finally:
            users.end()
        refused = {call for call in users.responses if call[2] >= 400}
        assert refused == {("GET", "/nothing", 404)}


def unfiltered(expr: str) -> str:
    """Return the query without the filters that hide healthy series, which must exist."""
    return expr.replace(" > 0", "").replace(',alertname!="Watchdog"', "")


def test_every_query_of_a_panel_has_a_result(stack: Stack) -> None:
    queries = [
        (f"{uid}, {panel['title']}", panel["title"], unfiltered(substituted(target["expr"], HERE)))
        for uid, board in dashboards().items()
        for panel, target in targets(board)
    ]
    assert len(queries) > 100
    waiting = list(queries)

    def all_have_results() -> bool:
        waiting[:] = [query for query in waiting if not stack.prometheus.query(query[2])]
        return {title for _, title, _ in waiting} <= ABSENT.keys()

    try:
        wait_until(all_have_results, "every query has a result", PATIENCE)
    except AssertionError:
        lines = [f"{where}: {expr}" for where, title, expr in waiting if title not in ABSENT]
        pytest.fail("\n".join(["no result for:", *lines]))
    assert ABSENT.keys() <= {title for _, title, _ in queries}, "an exception without a panel"


def test_every_variable_has_a_choice(stack: Stack) -> None:
    for uid, board in dashboards().items():
        for name in ("job", "instance"):
            found = variable(board, name)
            assert found is not None
            selector = found["query"].removeprefix("label_values(").rpartition(",")[0]
            assert stack.prometheus.query(substituted(selector, HERE)), f"{uid}: {name}"


def test_every_annotation_query_is_valid(stack: Stack) -> None:
    """Run them: nothing is deployed and nothing fires here, so they may be empty, but not refused."""
    queries = [mark for board in dashboards().values() for mark in surroundings(board)]
    assert queries
    for _, expr in queries:
        stack.prometheus.query(expr)
