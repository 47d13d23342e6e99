"""Fixtures that start services for a test and stop all of them after it."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aliaport.embedded import default_folder
from tests.support.distributions import install
from tests.support.postgres import TcpPostgres
from tests.support.service import ROGUES, Service, start
from tests.support.tcmb import Tcmb

Launch = Callable[..., Service]
Rows = Callable[[str], list[str]]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Yield `launch(plugins=…, apps=…, …)`, which starts a service with these rogues."""
    services: list[Service] = []

    def launch(
        plugins: dict[str, str] | None = None,
        apps: dict[str, str] | None = None,
        *,
        allow: tuple[str, ...] | None = None,
        folder: str = "run",
        wait: str = "started",
        **options: Any,
    ) -> Service:
        site = tmp_path / f"site-{folder}"
        if (plugins or apps) and not site.exists():
            install(site, "aliaport-rogues", plugins, apps)
        names = (*(allow or ()), *(plugins or {}), *(apps or {})) or ("disk",)
        service = start(tmp_path / folder, allow=names, path=(site, ROGUES), **options)
        services.append(service)
        if wait in ("listening", "started"):
            service.wait_listening()
        if wait == "started":
            service.wait_started()
        return service

    yield launch
    for service in services:
        service.kill()
        _remove_database(default_folder(service.folder))


def _remove_database(folder: Path) -> None:
    """Stop the server and remove its data, which are outside the test's folder for root."""
    leader = folder / "data" / "postmaster.pid"
    if leader.exists():
        os.kill(int(leader.read_text().split()[0]), signal.SIGQUIT)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server() -> Iterator[TcpPostgres]:
    """Start the real PostgreSQL that all tests of a run share; each creates its own databases."""
    server = TcpPostgres(max_connections="100")
    yield server
    server.remove()


@pytest.fixture(scope="module")
def own_server() -> Iterator[TcpPostgres]:
    """Start a real PostgreSQL for the tests of one module, which stop, freeze or configure it."""
    server = TcpPostgres(max_connections="20", superuser_reserved_connections="1")
    yield server
    server.remove()


@pytest.fixture
def database(server: TcpPostgres) -> str:
    """Return the URL of a fresh database."""
    return server.dsn(database=server.new_database("fresh"))


@pytest.fixture
def tcmb() -> Iterator[Tcmb]:
    """Start a stand-in for the central bank's web server, without any bulletin."""
    tcmb = Tcmb()
    yield tcmb
    tcmb.stop()


@pytest.fixture
def rows(server: TcpPostgres, database: str) -> Rows:
    """Return `rows(statement)`: the lines that psql would print for the test's database."""
    name = database.rpartition("/")[2]
    return lambda statement: server.sql(statement, database=name).splitlines()


@pytest.fixture
def embedded_folder(tmp_path: Path) -> Iterator[Path]:
    """Create a working folder whose embedded database is removed after the test."""
    folder = tmp_path / "embedded"
    folder.mkdir()
    yield folder
    _remove_database(default_folder(folder))
