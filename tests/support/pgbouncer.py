"""A real PgBouncer in front of a test's PostgreSQL, as a private process."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from tests.support.ports import free_port
from tests.support.waiting import wait_until


def find_pgbouncer() -> str | None:
    """Return the path of the program, which Debian installs for administrators only."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class PgBouncer:
    """A pooler of one database, with the defaults of PgBouncer unless `settings` say otherwise."""

    def __init__(self, url: str, settings: Mapping[str, str] | None = None) -> None:
        behind = urlsplit(url)
        self._database = behind.path.lstrip("/")
        self._user, self._password = behind.username, unquote(behind.password or "")
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="aliaport-pgbouncer-", dir="/tmp"))
        self._settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": str(self._folder / "users"),
            **(settings or {}),
        }
        (self._folder / "users").write_text(f'"{self._user}" "{self._password}"\n')
        address = f"host={behind.hostname} port={behind.port} dbname={self._database}"
        self._databases = f"[databases]\n{self._database} = {address}\n"
        self._process = self._start()

    def _write(self) -> Path:
        lines = [f"{name} = {value}" for name, value in self._settings.items()]
        conf = self._folder / "pgbouncer.ini"
        conf.write_text("\n".join([self._databases, "[pgbouncer]", *lines, ""]))
        return conf

    def _start(self) -> "subprocess.Popen[bytes]":
        conf = self._write()
        self._folder.chmod(0o755)
        privileges: dict[str, Any] = {}
        if os.geteuid() == 0:  # it refuses to run as root
            nobody = pwd.getpwnam("nobody")
            privileges = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        with (self._folder / "output").open("wb") as output:
            process = subprocess.Popen(
                [str(find_pgbouncer()), str(conf)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                **privileges,
            )
        try:
            wait_until(self._listens, "PgBouncer listens")
        except BaseException:
            process.kill()
            process.wait()
            raise
        return process

    def _listens(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port)):
            return True

    def dsn(self) -> str:
        """Return the URL of the pooled database."""
        login = f"{self._user}:{quote(self._password)}"
        return f"postgresql://{login}@127.0.0.1:{self.port}/{self._database}"

    def output(self) -> str:
        """Return what it logged."""
        return (self._folder / "output").read_text()

    def change(self, **settings: str) -> None:
        """Change settings while it runs, and wait until it has read them."""
        self._settings |= settings
        self._write()
        before = self.output().count("got SIGHUP")
        self._process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.output().count("got SIGHUP") > before, "PgBouncer reloads")

    def restart(self) -> None:
        """Kill it, which closes all connections, and start it again."""
        self._process.kill()
        self._process.wait()
        self._process = self._start()

    def remove(self) -> None:
        """Stop it and remove its files."""
        self._process.kill()  # SIGQUIT is ignored in a background job
        self._process.wait(60)
        shutil.rmtree(self._folder, ignore_errors=True)
