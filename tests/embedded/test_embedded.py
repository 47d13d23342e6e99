"""The embedded server: shared, taken over, replaced when frozen, stopped with its last user."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import asyncpg
import pytest

from aliaport.embedded import EmbeddedPostgres, borrowed_database, default_folder
from aliaport.embedded import server as server_module
from aliaport.embedded.owner import server_owner
from aliaport.embedded.roles import DATABASE, ROLE, SUPERUSER
from aliaport.errors import StartupError
from aliaport.settings import Settings
from tests.support.pids_cgroup import pids_limit
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.service


async def query(url: str, statement: str) -> Any:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def leader(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().split()[0])


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("name", ["a b$(id)c,d'e", "x" * 120])
async def test_any_spelling_of_the_folder_works(tmp_path: Path, name: str) -> None:
    folder = default_folder(tmp_path).parent / f"test-{name}"
    server = EmbeddedPostgres(folder)
    try:
        assert await query(server.start(), "SELECT 1") == 1
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def test_two_services_share_one_server_and_the_last_stops_it(folder: Path) -> None:
    parent = folder.parent
    parent.mkdir(parents=True, exist_ok=True)
    before = stat.S_IMODE(parent.stat().st_mode)
    first, second = EmbeddedPostgres(folder), EmbeddedPostgres(folder)
    url = first.start()
    assert second.start() == url
    await query(url, "CREATE TABLE kept AS SELECT 7 AS value")
    server = leader(folder)
    first.stop()
    assert await query(url, "SELECT value FROM kept") == 7
    assert open_locks(folder) == 1, "that of the second"
    second.stop()
    assert not is_alive(server)
    assert open_locks(folder) == 0
    again = EmbeddedPostgres(folder)
    assert await query(again.start(), "SELECT value FROM kept") == 7, "data survive a restart"
    again.stop()
    assert stat.S_IMODE(parent.stat().st_mode) == before, "only its own folder is private"
    assert stat.S_IMODE(folder.stat().st_mode) == (0o710 if os.geteuid() == 0 else 0o700)


def open_locks(folder: Path) -> int:
    return sum(
        os.path.samefile(descriptor, folder / "users.lock")
        for descriptor in Path("/proc/self/fd").iterdir()
        if descriptor.exists()
    )


async def test_a_command_stops_a_server_that_started_but_cannot_be_used(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = EmbeddedPostgres(folder)
    superuser = server.start().replace(f"//{ROLE}@/{DATABASE}", f"//{SUPERUSER}@/postgres")
    await query(superuser, f"ALTER DATABASE {DATABASE} RENAME TO other")
    server.stop()
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(StartupError, match="psql of the embedded database failed"),
        borrowed_database(Settings()),
    ):
        pass
    assert not (folder / "data/postmaster.pid").exists()


async def test_a_frozen_server_is_replaced_and_its_data_are_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "RESPONSE_TIMEOUT", 2)
    before = EmbeddedPostgres(folder)
    await query(before.start(), "CREATE TABLE kept AS SELECT 7 AS value")
    old = leader(folder)
    os.kill(old, signal.SIGSTOP)
    after = EmbeddedPostgres(folder)
    assert await query(after.start(), "SELECT value FROM kept") == 7
    assert leader(folder) != old
    assert not is_alive(old)
    before.stop()
    after.stop()


async def test_after_a_killed_initialisation_the_next_one_works(folder: Path) -> None:
    half = folder / "new-half" / "data"
    half.mkdir(parents=True)
    (half / "postgresql.conf").touch()
    owner = server_owner()
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner.uid, owner.gid)
    again = EmbeddedPostgres(folder)
    assert await query(again.start(), "SELECT 1") == 1
    again.stop()
    assert not half.parent.exists()


async def test_a_pid_file_cannot_have_another_process_killed(folder: Path) -> None:
    """A server that lost its machine leaves a number that another process may have got."""
    before = EmbeddedPostgres(folder)
    before.start()
    pid_file = folder / "data" / "postmaster.pid"
    _, *lines = pid_file.read_text().splitlines(keepends=True)
    before.stop()
    with subprocess.Popen(["sleep", "300"]) as bystander:
        try:
            pid_file.write_text(f"{bystander.pid}\n{''.join(lines)}")
            pid_file.chmod(0o644)
            after = EmbeddedPostgres(folder)
            assert await query(after.start(), "SELECT 1") == 1
            after.stop()
            assert bystander.poll() is None
        finally:
            bystander.kill()


@pytest.mark.parametrize("name", ["start.lock", "users.lock", "sockets"])
def test_a_link_in_the_folder_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    secret = tmp_path / "secret"
    secret.mkdir() if name == "sockets" else secret.write_text("kept")
    folder.mkdir(parents=True, mode=0o700)
    os.chown(folder, server_owner().uid, -1)
    (folder / name).symlink_to(secret)
    with pytest.raises(StartupError, match=f"{name}.*delete it"):
        EmbeddedPostgres(folder).start()
    assert secret.is_dir() or secret.read_text() == "kept"


@pytest.mark.needs("root")
def test_as_root_the_servers_user_can_write_only_to_its_own_folders(
    folder: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("kept")
    owner = server_owner()
    folder.mkdir(parents=True, mode=0o700)
    (folder / "server.log").symlink_to(secret)  # as its user could in 3.1
    for path in (folder, folder / "server.log"):
        os.chown(path, owner.uid, owner.gid, follow_symlinks=False)
    server = EmbeddedPostgres(folder)
    server.start()
    try:
        assert secret.read_text() == "kept"
        assert "ready to accept connections" in (folder / "server.log").read_text()
        owners = {path.name: path.lstat().st_uid for path in folder.iterdir()}
        assert {name for name, uid in owners.items() if uid == owner.uid} == {"data", "sockets"}
        assert (folder.stat().st_uid, stat.S_IMODE(folder.stat().st_mode)) == (0, 0o710)
    finally:
        server.stop()


@pytest.mark.needs("root")
def test_a_folder_of_another_user_is_refused_with_the_fix(folder: Path) -> None:
    folder.mkdir(parents=True)
    os.chown(folder, 12345, 12345)
    with pytest.raises(StartupError, match="belongs to another user"):
        EmbeddedPostgres(folder).start()


@pytest.mark.needs("root")
@pytest.mark.parametrize("number", [1, 3])
def test_a_limit_on_processes_is_named(
    folder: Path, cannot_run: Callable[[str, str], NoReturn], number: int
) -> None:
    script = """
import sys; from pathlib import Path
from aliaport.embedded import EmbeddedPostgres
from aliaport.errors import StartupError
try: EmbeddedPostgres(Path(sys.argv[1])).start()
except StartupError as error: print(error)
"""
    with pids_limit(cannot_run) as limit:
        limit.set(number)
        done = subprocess.run(
            [*limit.wrapper, sys.executable, "-c", script, str(folder)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    assert done.stdout.startswith("cannot start another process of the embedded database: the lim")
    assert f"pids.max, in Docker `--pids-limit`) is {number}; set it" in done.stdout, done.stdout
