"""Test that each operation returns all the error statuses in the document, and no others."""

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
import schemathesis

from tests.support.operations import CARI, GATE, ORDER, Operations, serve
from tests.support.postgres import TcpPostgres

pytestmark = pytest.mark.computes

DOCUMENT = "/api/openapi.json"
ELSEWHERE = {409, 429}
"""Statuses that need preparation; the tests of the resources and of the throttle cover them."""


@pytest.fixture(scope="module")
def server(own_server: TcpPostgres) -> TcpPostgres:
    """Return a server for this file alone, since its tests freeze it."""
    return own_server


@pytest.fixture(scope="module")
def api(server: TcpPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operations]:
    """Start a service that waits only two seconds for a body."""
    environ = {"ALIAPORT_APPS__OPERATIONS__BODY_TIMEOUT": "2"}
    with serve(server, tmp_path_factory.mktemp("statuses") / "run", **environ) as operations:
        yield operations


def valid_bodies(api: Operations) -> dict[tuple[str, str], Any]:
    """Create one row of each kind, with ID 1, and return valid bodies of all operations."""
    account = {"code": "STATUSES", "title": "Deneme", "kind": "customer"}
    order = {"title": "Tahliye"}
    gate = {"direction": "in", "plate": "34 ABC 123"}
    assert api.data("POST", CARI, account | {"code": "FIRST"})["id"] == 1
    assert api.data("POST", ORDER, order | {"account_id": 1})["id"] == 1
    assert api.data("POST", GATE, gate)["id"] == 1
    item = "{id}"
    return {
        ("POST", "/auth/login"): {"username": "nobody", "password": "wrong"},
        ("POST", "/auth/password"): {
            "current_password": "wrong",
            "new_password": "öyle bir parola 43",
        },
        ("POST", CARI): account,
        ("PUT", f"{CARI}/{item}"): account | {"version": 1},
        ("POST", f"{CARI}/{item}/deactivate"): {"version": 1},
        ("POST", f"{CARI}/{item}/activate"): {"version": 1},
        ("POST", ORDER): order | {"account_id": 1},
        ("PUT", f"{ORDER}/{item}"): order | {"version": 1},
        ("POST", f"{ORDER}/{item}/status"): {"status": "planned", "version": 1},
        ("POST", GATE): gate,
    }


class Sender:
    """Sends requests to one operation, and collects the error statuses it returns."""

    def __init__(self, api: Operations, operation: Any, body: Any) -> None:
        self.api, self.operation, self.body = api, operation, body
        # Tokens for this operation alone, since one of the operations signs out.
        self.viewer, self.admin = api.token("viewer"), api.token("admin")
        self.refused: set[int] = set()

    @property
    def described(self) -> set[int]:
        statuses = map(int, self.operation.definition.raw["responses"])
        return {status for status in statuses if status >= 400}

    def send(self, token: str, number: int = 1, **options: Any) -> None:
        """Send one request, and validate its response against the document."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        headers |= options.pop("headers", {})
        if "data" not in options:
            options["json"] = self.body
        url = self.api.url + self.operation.path.format(id=number)
        method = self.operation.method
        response = requests.request(method, url, headers=headers, timeout=60, **options)
        self.operation.validate_response(response)
        self._collect(response.status_code)

    def send_half(self) -> None:
        """Announce a body that is never sent."""
        service = self.api.service
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        headers = {"Content-Type": "application/json", "Content-Length": "9"}
        headers["Authorization"] = f"Bearer {self.admin}"
        path = self.operation.path.format(id=1)
        connection.request(self.operation.method.upper(), path, headers=headers)
        self._collect(connection.getresponse().status)
        connection.close()

    def send_invalid_requests(self) -> None:
        self.send("unknown-token")
        self.send(self.viewer, params={"tax_number": "10000000146"})
        self.send(self.viewer, params={"plate": "34 ABC 123"})
        self.send(self.viewer)
        self.send(self.admin, data=b"{")
        self.send(self.admin, data=b'"' + b"x" * 70_000 + b'"')
        self.send(self.admin, headers={"Content-Type": "text/plain"}, data=b"{}")
        self.send(self.admin, params={"unknown": "1"})
        if "{id}" in self.operation.path:
            self.send(self.admin, number=999_999_999)

    def _collect(self, status: int) -> None:
        if status >= 400:
            self.refused.add(status)


def test_each_operation_returns_exactly_the_error_statuses_in_the_document(
    api: Operations, server: TcpPostgres
) -> None:
    described = schemathesis.openapi.from_url(api.url + DOCUMENT)
    bodies = valid_bodies(api)
    senders = [
        Sender(api, operation, bodies.get((method.upper(), path)))
        for path, methods in described.items()
        for method, operation in methods.items()
    ]
    with ThreadPoolExecutor(len(senders)) as at_once:
        for sender in senders:
            sender.send_invalid_requests()
        list(at_once.map(Sender.send_half, senders))
        server.freeze()
        try:
            list(at_once.map(lambda sender: sender.send(sender.admin), senders))
        finally:
            server.thaw()
    wrong = {
        sender.operation.label: {
            "only documented": sorted(sender.described - sender.refused - ELSEWHERE),
            "only returned": sorted(sender.refused - sender.described),
        }
        for sender in senders
        if (sender.described ^ sender.refused) - ELSEWHERE
    }
    assert not wrong, json.dumps(wrong, indent=1)
