"""The commands of the guide to a new password of the database, on replicas under traffic."""

import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.alerts.runbooks import ROOT, blocks
from tests.support.operations import CARI, PATIENT, Operations, begin, wait_serving
from tests.support.postgres import TcpPostgres
from tests.support.service import Service, patient
from tests.support.service_files import service_files
from tests.support.waiting import wait_until

PAGE = "key-rotation"
COPY, CREATE = (
    block.text
    for block in blocks(PAGE, (ROOT / f"docs/how-to/{PAGE}.md").read_text())
    if block.kind == "sh changes" and re.search("NEW_URL_FILE|CREATE ROLE", block.text)
)
OURS = "FROM pg_stat_activity WHERE application_name LIKE 'aliaport-%' AND usename = "


@pytest.fixture
def role(server: TcpPostgres) -> Iterator[tuple[str, str]]:
    """Create a role and its database; return both names."""
    database = server.new_database("rotated")
    server.sql(f"CREATE ROLE {database} LOGIN PASSWORD 'first'")
    server.sql(f"ALTER DATABASE {database} OWNER TO {database}", "postgres")
    yield database, database
    server.sql(f"ALTER DATABASE {database} OWNER TO aliaport", "postgres")
    server.sql(f"DROP OWNED BY {database}", database)
    server.sql(f"DROP ROLE {database}")


class Traffic:
    """Requests to /ready and to the API of each replica; `wrong` are those that failed."""

    def __init__(self, replicas: list[Operations]) -> None:
        self.wrong: list[str] = []
        self.done = 0
        self._replicas = replicas
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(replica,), daemon=True)
            for replica in replicas
            for _ in range(2)
        ]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(60)

    def more(self) -> None:
        target = self.done + 40
        wait_until(lambda: self.done > target or self.wrong, "requests are served")

    def _run(self, replica: Operations) -> None:
        calls: list[Callable[[], object]] = [
            lambda: replica.service.get("/ready"),
            lambda: replica.get(CARI),
        ]
        while not self._stopped.is_set():
            for call in calls:
                response = call()
                if getattr(response, "status", 0) != 200:
                    self.wrong.append(repr(response))
                self.done += 1


def run(step: str, folder: Path, environ: dict[str, str], server: TcpPostgres) -> None:
    path = os.pathsep.join((str(server.programs), os.environ["PATH"]))
    done = subprocess.run(
        ["sh", "-ec", step],
        env={"PATH": path, **environ},
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{step}\n{done.stdout}{done.stderr}"


def wait_until_gone(server: TcpPostgres, sessions: str) -> None:
    count = f"SELECT count(*) {sessions}"
    wait_until(lambda: server.sql(count) == "0", "all connections are newer than the change")


def test_no_request_fails_while_the_file_and_the_password_change(
    server: TcpPostgres, role: tuple[str, str], tmp_path: Path
) -> None:
    user, database = role
    replicas: list[Operations] = []
    services: list[Service] = []
    tokens: dict[str, str] = {}
    for number in range(2):
        file = tmp_path / f"url-{number}"
        file.write_text(server.dsn(user=user, password="first", database=database))
        services.append(
            begin(
                server,
                database,
                tmp_path / str(number),
                patient("database"),
                DATABASE_URL="",
                DATABASE_URL_FILE=str(file),
                ALIAPORT_SELECTION__ALLOW='["db", "operations"]',
                **PATIENT,
            )
        )
        replicas.append(Operations(services[-1], server, database, tokens))
    try:
        for service in services:
            wait_serving(service)
        tokens["clerk"] = replicas[0].token(replicas[0].add_user("clerk"))
        with Traffic(replicas) as traffic:
            traffic.more()
            (tmp_path / "new").write_text(
                server.dsn(user=user, password="zweites", database=database)
            )
            changed = server.sql("SELECT now()")
            for number in range(2):
                names = {"NEW_URL_FILE": "new", "DATABASE_URL_FILE": f"url-{number}"}
                run(COPY, tmp_path, names, server)
                traffic.more()
            server.sql(f"ALTER ROLE {user} PASSWORD 'zweites'")
            traffic.more()
            for name in ("aliaport-operations_api", "aliaport-%"):
                older = f"{OURS}'{user}' AND backend_start < '{changed}' AND application_name LIKE '{name}'"
                if name == "aliaport-%":  # those of probes are replaced after half a minute
                    server.sql(f"SELECT pg_terminate_backend(pid) {older}")
                wait_until_gone(server, older)
                traffic.more()
        assert traffic.wrong == []
    finally:
        for service in services:
            service.kill()


def test_a_second_role_acts_as_the_first(
    server: TcpPostgres, role: tuple[str, str], tmp_path: Path
) -> None:
    user, database = role
    admin = service_files(tmp_path, {"admin": server.dsn(database=database)})
    step = CREATE.replace("aliaport_b", f"{user}_b").replace(' aliaport"', f' {user}"')
    step = step.replace("'aliaport'", f"'{user}'")
    run(step, tmp_path, {**admin, "PGSERVICE": "admin"}, server)
    server.sql(f"ALTER ROLE {user}_b PASSWORD 'zweites'")
    try:
        for login, password in ((user, "first"), (f"{user}_b", "zweites")):
            url = server.dsn(user=login, password=password, database=database)
            service = begin(server, database, tmp_path / login, DATABASE_URL=url, **PATIENT)
            try:
                wait_serving(service)
                operations = Operations(service, server, database)
                operations.tokens["clerk"] = operations.token(operations.add_user(f"c{len(login)}"))
                assert operations.account()["version"] == 1
                assert server.sql(f"SELECT count(*) > 0 {OURS}'{login}'") == "t"
            finally:
                service.kill()
        owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE tablename LIKE 'aliaport%'"
        assert server.sql(owners, database) == user
    finally:
        server.sql(f"DROP ROLE {user}_b")
