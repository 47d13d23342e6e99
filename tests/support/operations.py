"""The operations API as callers use it: a real service with a user of each role."""

import http.client
import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from aliaport_operations.cli import main
from aliaport_operations.passwords import hashed

from tests.support.commands import Finished, installed, invoke
from tests.support.postgres import TcpPostgres
from tests.support.service import Response, Service, start

PASSWORD = "öyle bir parola 42"
HASH = hashed(PASSWORD)
ROLES = ("viewer", "clerk", "admin")
CARI, ORDER, GATE = "/api/cari", "/api/work-order", "/api/gate-log"
PATIENT = {
    "ALIAPORT_APPS__OPERATIONS__ACQUIRE_TIMEOUT": "10",
    "ALIAPORT_APPS__OPERATIONS__STATEMENT_TIMEOUT": "30",
}
"""Settings for tests whose requests wait for locks, or that send many at once to a busy machine."""


@dataclass
class Operations:
    """One service; `tokens` are the tokens of its users, who are named after their roles."""

    service: Service
    server: TcpPostgres
    database: str
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.service.port}"

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        role: str | None = "clerk",
        headers: dict[str, str] | None = None,
        timeout: float = 30.0,
        **query: Any,
    ) -> Response:
        """Send one request; `body` is sent as JSON unless it is bytes already."""
        sent = dict(headers or {})
        if role is not None:
            sent.setdefault("Authorization", f"Bearer {self.tokens[role]}")
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        if query:
            plain = {k: v.isoformat() if isinstance(v, datetime) else v for k, v in query.items()}
            path = f"{path}?{urlencode(plain)}"
        connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=timeout)
        try:
            connection.request(method, path, body=data, headers=sent)
            response = connection.getresponse()
            return Response(response.status, dict(response.getheaders()), response.read().decode())
        finally:
            connection.close()

    def get(self, path: str, *, role: str | None = "clerk", **query: Any) -> Response:
        return self.call("GET", path, role=role, **query)

    def data(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Send a request that must succeed; return its data."""
        response = self.call(method, path, body, **options)
        assert response.status in (200, 201), response.text
        return response.json["data"]

    def refused(self, status: int, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Send a request that must be refused with this status; return its error."""
        response = self.call(method, path, body, **options)
        assert response.status == status, response.text
        assert response.json["success"] is False
        return response.json["error"]

    def sql(self, statement: str) -> str:
        return self.server.sql(statement, self.database)

    def add_user(self, name: str, role: str = "clerk") -> str:
        """Add a user with PASSWORD, and return the name."""
        self.sql(
            "INSERT INTO aliaport_operations_users (name, role, password_hash) "
            f"VALUES ('{name}', '{role}', '{HASH}')"
        )
        return name

    def sign_in(self, name: str, password: str = PASSWORD, **options: Any) -> Response:
        body = {"username": name, "password": password}
        return self.call("POST", "/auth/login", body, role=None, **options)

    def token(self, name: str) -> str:
        response = self.sign_in(name)
        assert response.status == 200, response.text
        token: str = response.json["data"]["token"]
        return token

    def account(self, **fields: Any) -> Any:
        """Create an account."""
        code = f"T-{uuid.uuid4().hex[:10].upper()}"
        body = {"code": code, "title": f"Deneme {code}", "kind": "customer"} | fields
        return self.data("POST", CARI, body)

    def order(self, **fields: Any) -> Any:
        """Create a work order, for a new account unless `account_id` is given."""
        account_id = fields.pop("account_id", None) or self.account()["id"]
        return self.data("POST", ORDER, {"account_id": account_id, "title": "Tahliye"} | fields)

    def events(self) -> list[dict[str, Any]]:
        """Return all log lines so far, including those of the last request."""
        last = self.get("/auth/me", role=None).headers["X-Request-ID"]

        def logged() -> list[dict[str, Any]]:
            events = self.service.events()
            found = [event for event in events if event.get("http.request.id") == last]
            return events if found else []

        return self.service.wait_for(logged, "the last request is logged")

    def failures(self) -> list[dict[str, Any]]:
        """Return the log lines of requests that failed with a server error."""
        return [event for event in self.events() if event["message"] == "request.failed"]

    def metric(self, series: str) -> float:
        """Return the value of one series such as `aliaport_gate_logs_total{direction="in"}`."""
        for line in self.service.get("/metrics").text.splitlines():
            name, _, value = line.rpartition(" ")
            if name == series:
                return float(value)
        raise AssertionError(f"there is no series {series}")

    @property
    def environ(self) -> dict[str, str]:
        """Return the variables with which a command finds this database."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.service.folder),
            "DATABASE_URL": self.server.dsn(database=self.database),
        }

    def invoke(self, *arguments: str, typed: str | None = None, **environ: str) -> Finished:
        """Run `aliaport-operations` on the same database, in this process."""
        environ = self.environ | environ
        return invoke(main, *arguments, folder=self.service.folder, environ=environ, typed=typed)

    def command(
        self, *arguments: str, typed: str | None = None, patience: float = 60.0
    ) -> Finished:
        """Run the installed `aliaport-operations` on the same database."""
        return subprocess.run(
            [*installed("aliaport-operations"), *arguments],
            env=self.environ,
            cwd=self.service.folder,
            input=typed,
            capture_output=True,
            text=True,
            timeout=patience,
        )


@contextmanager
def serve(
    server: TcpPostgres, folder: Path, *, config: str = "", **environ: str
) -> Iterator[Operations]:
    """Start the service on a fresh database, with a user of each role who is signed in."""
    database = server.new_database("operations")
    operations = Operations(begin(server, database, folder, config, **environ), server, database)
    with _running(operations):
        for role in ROLES:
            operations.tokens[role] = operations.token(operations.add_user(role, role))
        yield operations


@contextmanager
def replica(
    of: Operations, folder: Path, *, config: str = "", **environ: str
) -> Iterator[Operations]:
    """Start another service on the same database; it knows the tokens of the first one."""
    service = begin(of.server, of.database, folder, config, **environ)
    with _running(replace(of, service=service)) as operations:
        yield operations


def begin(
    server: TcpPostgres, database: str, folder: Path, config: str = "", **environ: str
) -> Service:
    """Start the service without waiting for it."""
    return start(
        folder,
        allow=["operations"],
        environ={
            "DATABASE_URL": server.dsn(database=database),
            "ALIAPORT_PLUGINS__OPERATIONS__TOTALS_INTERVAL": "0",
            **environ,
        },
        config=config,
    )


def wait_serving(service: Service) -> None:
    """Wait until the service has started and its application responds."""
    service.wait_started()
    service.wait_for(lambda: service.get("/auth/me").status == 401, "the application responds")


@contextmanager
def _running(operations: Operations) -> Iterator[Operations]:
    service = operations.service
    try:
        wait_serving(service)
        yield operations
    finally:
        service.kill()
