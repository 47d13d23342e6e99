"""Debian's PostgreSQL 15, over TCP with passwords; tests can stop and start it."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.alerts.stack.program import Program
from tests.support.service import free_port

BINARIES = Path("/usr/lib/postgresql/15/bin")
PASSWORD = "a-right-password"
"""Without a space, because Debian's exporter rejects one as malformed."""
_ROLES = f"""
CREATE ROLE aliaport LOGIN PASSWORD '{PASSWORD}';
CREATE DATABASE aliaport OWNER aliaport;
CREATE ROLE exporter LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_monitor;
"""


class Database(Program):
    """One server with the database and role `aliaport` and the role `exporter`."""

    def __init__(self) -> None:
        # A test's own folder may be below one that PostgreSQL's user cannot enter.
        self.home = Path(tempfile.mkdtemp(prefix="aliaport-alerts-", dir="/tmp"))
        self.data = self.home / "data"
        self.port = free_port()
        self._as: dict[str, Any] = {}
        account: list[str] = []
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.home, nobody.pw_uid, nobody.pw_gid)
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            account = [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
        super().__init__(
            "postgres",
            [str(BINARIES / "postgres"), "-D", str(self.data)],
            self.home,
            ready="",
            account=account,
        )
        self._make()

    def _make(self) -> None:
        password = self.home / "password"
        password.write_text(PASSWORD)
        self._run(
            "initdb", "-D", str(self.data), "-U", "postgres", "-A", "scram-sha-256",
            f"--pwfile={password}", "--locale=C", "-E", "UTF8", "--no-sync",
        )  # fmt: skip
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.home,
            "fsync": "off",
            "shared_preload_libraries": "pg_stat_statements",
        }
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        self.start()
        self.wait_ready()
        for statement in _ROLES.strip().splitlines():
            self.sql(statement, user="postgres", database="postgres")

    def serves(self) -> bool:
        """Return whether it accepts connections."""
        return self._try("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)) == 0

    def stop(self) -> None:
        """Shut it down fast, as an administrator does."""
        self.end(signal.SIGINT)

    def sql(self, statement: str, *, user: str = "aliaport", database: str = "aliaport") -> str:
        return self._run(
            "psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", user, "-d", database,
            "-v", "ON_ERROR_STOP=1", "-Atqc", statement,
        )  # fmt: skip

    def dsn(self, *, user: str = "aliaport", database: str = "aliaport", options: str = "") -> str:
        place = f"127.0.0.1:{self.port}/{database}"
        return f"postgresql://{user}:{quote(PASSWORD)}@{place}{options}"

    def remove(self) -> None:
        self.end(signal.SIGQUIT)
        shutil.rmtree(self.home, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [str(BINARIES / program), *arguments],
            capture_output=True, text=True, timeout=60, cwd="/",
            env={"PGPASSWORD": PASSWORD, "PATH": "/usr/bin:/bin"}, **self._as,
        )  # fmt: skip
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"
        return str(done.stdout).strip()

    def _try(self, program: str, *arguments: str) -> int:
        return subprocess.run(
            [str(BINARIES / program), *arguments], timeout=10, check=False
        ).returncode
