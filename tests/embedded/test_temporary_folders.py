"""A server whose socket is in a folder for temporary files, and services that see another one."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aliaport.embedded import check_embedded, default_folder
from aliaport.errors import StartupError
from tests.embedded.test_embedded import is_alive, leader, query
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.service

USER = """
import sys; from pathlib import Path
from aliaport.embedded import EmbeddedPostgres
from aliaport.errors import StartupError
server = EmbeddedPostgres(Path(sys.argv[1]))
try: print(server.start(), flush=True)
except StartupError as error: print(error, flush=True)
sys.stdin.read()
server.stop()
"""
"""Uses the server of a folder until its standard input ends; prints the URL or the error."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return the folder of a server whose path is too long for a socket."""
    usual = default_folder(tmp_path)  # for root, beside those of other tests
    folder = usual.with_name(f"{usual.name}-{'x' * 120}")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def short() -> Iterator[Path]:
    """Return a folder with a path that is short enough for sockets below it."""
    with tempfile.TemporaryDirectory(prefix="a-", dir="/tmp") as name:
        Path(name).chmod(0o711)  # the server may run as another user
        yield Path(name)


@contextmanager
def user(folder: Path, temporary: Path, *prefix: str, stops: bool = True) -> Iterator[str]:
    """Run a process that uses the server, with this folder for temporary files; yield its line."""
    temporary.mkdir(mode=0o711, exist_ok=True)
    with subprocess.Popen(
        [*prefix, sys.executable, "-c", USER, str(folder)],
        env={**os.environ, "TMPDIR": str(temporary), "PGPORT": "1"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
            if stops:
                process.communicate(timeout=PATIENCE)
        finally:
            process.kill()


async def test_services_with_different_folders_share_one_server(
    folder: Path, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "1")
    with user(folder, short / "one") as url:
        await query(url, "CREATE TABLE kept AS SELECT 7 AS value")
        server = leader(folder)
        with user(folder, short / "two") as other:
            assert other == url
            assert await query(other, "SELECT value FROM kept") == 7
        assert leader(folder) == server
        assert await query(url, "SELECT value FROM kept") == 7, "it was not replaced"
    assert not is_alive(server)
    assert not list((short / "one").iterdir()), "the last user removes the socket"


@pytest.mark.needs("root", "unshare")
async def test_a_server_in_use_that_cannot_be_reached_is_left_alone(
    folder: Path, short: Path
) -> None:
    hidden = short / "hidden"
    private = ("unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {hidden}; exec "$@"', "sh")
    with user(folder, hidden) as url:
        server = leader(folder)
        with user(folder, hidden, *private) as refusal:
            assert refusal.startswith("another service uses the embedded database in ")
            assert "TMPDIR" in refusal
        assert leader(folder) == server
        assert await query(url, "SELECT 1") == 1


@pytest.mark.needs("root", "unshare")
async def test_a_server_that_was_left_and_cannot_be_reached_is_replaced(
    folder: Path, short: Path
) -> None:
    with user(folder, short / "one", stops=False) as url:
        await query(url, "CREATE TABLE kept AS SELECT 7 AS value")
        server = leader(folder)
    assert is_alive(server), "it has lost its service"
    (socket_folder,) = (short / "one").iterdir()
    shutil.rmtree(socket_folder)  # as programs do that clean up
    with user(folder, short / "two") as url:
        assert await query(url, "SELECT value FROM kept") == 7
        assert leader(folder) != server
        assert not is_alive(server)


def test_the_check_refuses_what_the_start_refuses(
    folder: Path, tmp_path: Path, short: Path
) -> None:
    folder.mkdir(parents=True, mode=0o700)
    (folder / "users.lock").symlink_to(tmp_path / "elsewhere")
    with user(folder, short / "one") as refusal, pytest.raises(StartupError) as raised:
        check_embedded(folder)
    assert str(raised.value) == refusal
