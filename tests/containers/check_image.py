"""The image, alone with a PostgreSQL: read-only, unprivileged, healthy, ready, drained."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from aliaport import __version__
from tests.compose.files import service
from tests.containers.drain import watch_stop
from tests.containers.engine import get, healthy, inside, inspect, podman
from tests.support.plugins import BUNDLED
from tests.support.waiting import wait_until

IMAGE = f"docker.io/library/aliaport:{__version__}"
POSTGRES = f"docker.io/library/{service('db').get('image')}"
PASSWORD = "a-password-of-the-check"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("secrets")


def secret(file: Path, value: str) -> Path:
    file.write_text(value)
    file.chmod(0o444)
    return file


@pytest.fixture(scope="module")
def database(folder: Path) -> Iterator[str]:
    """Start the database; return its URL for the other container."""
    podman("network", "create", "check-image")
    podman(
        "run", "--detach", "--name=check-db", "--network=check-image", "--user=999:999",
        "--env=POSTGRES_USER=aliaport", "--env=POSTGRES_INITDB_ARGS=", "--env=POSTGRES_PASSWORD_FILE=/etc/check",
        f"--mount=type=bind,source={secret(folder / 'password', PASSWORD)},target=/etc/check,ro", POSTGRES,
    )  # fmt: skip
    wait_until(
        lambda: inside("check-db", "pg_isready -q -h 127.0.0.1").returncode == 0, "db", seconds=60
    )
    podman(
        "exec",
        "check-db",
        "psql",
        "-U",
        "aliaport",
        "-d",
        "postgres",
        "-c",
        "CREATE DATABASE aliaport",
    )
    yield f"postgresql://aliaport:{PASSWORD}@check-db:5432/aliaport"
    podman("rm", "--force", "--volumes", "check-db")
    podman("network", "rm", "check-image")


@pytest.fixture(scope="module")
def container(database: str, folder: Path) -> Iterator[str]:
    podman(
        "run", "--detach", "--name=check", "--network=check-image", "--publish=127.0.0.1:8000:8000",
        "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges",
        f"--mount=type=bind,source={secret(folder / 'url', database)},target=/run/secrets/database_url,ro",
        "--env=DATABASE_URL_FILE=/run/secrets/database_url", "--stop-timeout=30", IMAGE,
    )  # fmt: skip
    yield "check"
    podman("rm", "--force", "--volumes", "--time=0", "check")


def test_it_is_ready_and_its_own_health_check_agrees(container: str) -> None:
    wait_until(lambda: get(8000, "/ready")[0] == 200, podman("logs", "--tail=5", container), 60)
    assert healthy(container)
    assert inspect(container)["State"]["Health"]["Status"] == "healthy"


def test_it_runs_unprivileged_on_a_read_only_root(container: str) -> None:
    status = inside(container, "cat /proc/1/status").stdout
    assert "\nUid:\t10001\t10001\t10001\t10001\n" in status
    assert "\nCapEff:\t0000000000000000\n" in status
    assert "\nNoNewPrivs:\t1\n" in status
    for place in ("/", "/opt/aliaport", "/etc", "/app"):
        assert inside(container, f"touch {place}/x").returncode != 0, place
    assert inside(container, "ls /app/logs").stdout.split() == [
        *("api.log", "app.log", "audit.log", "error.log")
    ]


def test_nothing_can_be_installed_in_it(container: str) -> None:
    assert inside(container, "ls /opt/aliaport/bin | grep pip").stdout == ""
    assert inside(container, "/opt/aliaport/bin/python -c 'import pip'").returncode != 0


def test_it_contains_no_sources_or_secrets(container: str) -> None:
    found = inside(container, "ls -A / /app /build /wheels 2>/dev/null").stdout.split()
    assert not {"tests", "deploy", ".git", "requirements", "secrets", "Dockerfile"} & set(found)


def test_all_bundled_plugins_are_loaded(container: str) -> None:
    text = get(8000, "/metrics")[1]
    for plugin in BUNDLED:
        assert f'plugin="{plugin}"' in text


def test_a_stop_makes_it_not_ready_before_it_exits(container: str) -> None:
    stop = watch_stop(["podman", "stop", container], 8000)
    assert stop.code == 0
    assert [seen[1:] for seen in stop.seen][:2] == [(200, 200), (503, 200)], stop.seen
    drained = stop.first(0) - stop.first(503)
    assert 4.0 < drained < 8.0, f"drained for {drained:g} s: {stop.seen}"
    assert stop.seconds < 30, "it was killed"
    state = inspect(container)["State"]
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
    said = podman("logs", container)
    assert said.index("service.draining") < said.index("service.stopped")
