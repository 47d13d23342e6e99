"""The embedded server: created once, taken over after a crash, stopped by its last user."""

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from aliaport.embedded.owner import SYSTEM_FOLDER, Owner, programs, server_owner
from aliaport.errors import StartupError

START_TIMEOUT = 30
"""Seconds."""

LOG_LIMIT = 1_000_000
"""Bytes."""

SOCKET_PATH_LIMIT = 90
"""Bytes: the kernel's limit is 107, and the server appends the name of the socket."""

_PLAIN = re.compile(r"[A-Za-z0-9/._-]+")
_OPTIONS = (
    "-c listen_addresses='' -c shared_buffers=16MB -c max_connections=50 "
    "-c log_timezone=UTC -c timezone=UTC -c unix_socket_permissions=0700 -k {sockets}"
)


def default_folder(working_folder: Path) -> Path:
    """Return the data folder of a working folder: below it or, for root, under /var/lib."""
    if os.geteuid() != 0:
        return working_folder / ".aliaport" / "postgresql"
    return SYSTEM_FOLDER / hashlib.sha256(os.fsencode(working_folder)).hexdigest()[:12]


class EmbeddedPostgres:
    """One server, shared by all services of a folder. Methods block; call them in any thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._data = folder / "data"
        self._users: int | None = None
        self._owner = Owner(os.geteuid(), os.getegid(), switch=False)
        self._programs = Path()

    def start(self) -> str:
        """Start the server, or take over the running one; return its URL. Raises StartupError."""
        try:
            self._owner = server_owner()
            self._programs = programs(self._owner)
            self._make_folder()
            with self._start_lock():
                sockets = self._make_socket_folder()
                self._users = _open_lock(self.folder / "users.lock")
                fcntl.flock(self._users, fcntl.LOCK_SH)
                if not (self._data / "PG_VERSION").exists():
                    self._initialise()
                self._ensure_running(sockets)
        except OSError as error:
            raise StartupError(
                f"cannot use the embedded database in {self.folder}: {error.strerror}; make the "
                "folder writable for this user, or set DATABASE_URL"
            ) from None
        return f"postgresql://aliaport@/aliaport?host={quote(str(sockets))}"

    def stop(self) -> None:
        """Stop the server if no other service uses it; takes at most 5 s."""
        if self._users is None:
            return
        with self._start_lock():
            try:
                fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            finally:
                users, self._users = self._users, None
            for mode, seconds in (("fast", 2), ("immediate", 1)):
                if self._control("stop", "-m", mode, "-t", str(seconds), "-w").returncode == 0:
                    break
            else:
                self._kill()
            sockets = self._socket_folder()
            if sockets != self.folder:
                with suppress(OSError):  # a server that was killed leaves its socket there
                    sockets.rmdir()
            os.close(users)

    def _make_folder(self) -> None:
        if self.folder.exists() and self.folder.stat().st_uid != self._owner.uid:
            raise StartupError(
                f"{self.folder} belongs to another user; start the service as that user, in "
                "another working folder, or set DATABASE_URL"
            )
        if not self.folder.exists():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700)
            os.chown(self.folder, self._owner.uid, self._owner.gid)

    def _socket_folder(self) -> Path:
        # pg_ctl passes its options to a shell, and PostgreSQL splits this one at commas.
        short = len(os.fsencode(self.folder)) <= SOCKET_PATH_LIMIT
        if short and _PLAIN.fullmatch(str(self.folder)):
            return self.folder
        name = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"aliaport-{self._owner.uid}-{name}"

    def _make_socket_folder(self) -> Path:
        folder = self._socket_folder()
        if folder != self.folder:
            if not folder.exists():
                folder.mkdir(mode=0o700)
                os.chown(folder, self._owner.uid, self._owner.gid)
            found = folder.lstat()
            if folder.is_symlink() or found.st_uid != self._owner.uid or found.st_mode & 0o077:
                raise StartupError(f"{folder} is not a private folder of this user; delete it")
        return folder

    def _initialise(self) -> None:
        """Create the data in a temporary folder and move it, so that no partial data remains."""
        for left in self.folder.glob("new-*"):
            shutil.rmtree(left, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(prefix="new-", dir=self.folder))
        os.chown(temporary, self._owner.uid, self._owner.gid)
        data = temporary / "data"
        self._run_checked(
            "initdb", "-D", str(data), "-U", "aliaport", "-A", "trust", "-E", "UTF8",
            "--locale=C", "--no-instructions",
        )  # fmt: skip
        self._run_checked(
            "postgres", "--single", "-D", str(data), "postgres",
            stdin="CREATE DATABASE aliaport;\n",
        )  # fmt: skip
        data.rename(self._data)
        temporary.rmdir()

    def _ensure_running(self, sockets: Path) -> None:
        if self._control("status").returncode == 0:
            if self._responds(sockets, 3):
                return
            self._kill()
        log = self.folder / "server.log"
        if log.exists() and log.stat().st_size > LOG_LIMIT:
            os.truncate(log, 0)
        options = _OPTIONS.format(sockets=sockets)
        started = self._control(
            "start", "-w", "-t", str(START_TIMEOUT), "-l", log.name, "-o", options
        )
        if started.returncode != 0:
            tail = log.read_text("utf-8", "replace")[-600:] if log.exists() else started.stderr
            raise StartupError(
                f"the embedded database in {self.folder} does not start: {tail.strip()}; see "
                f"{log}, delete the folder to start with an empty database, or set DATABASE_URL"
            )

    def _responds(self, sockets: Path, seconds: int) -> bool:
        done = self._run("pg_isready", "-q", "-h", str(sockets), "-t", str(seconds))
        return done.returncode == 0

    def _control(self, verb: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        # Relative to the working folder: pg_ctl puts the path into a shell command.
        return self._run("pg_ctl", verb, "-D", self._data.name, *arguments)

    def _run_checked(self, program: str, *arguments: str, stdin: str = "") -> None:
        done = self._run(program, *arguments, stdin=stdin)
        if done.returncode != 0:
            raise StartupError(
                f"{program} of the embedded database failed: {done.stderr.strip()[-600:]}; "
                "set DATABASE_URL to use another database"
            )

    def _run(
        self, program: str, *arguments: str, stdin: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        command = [str(self._programs / program), *arguments]
        as_user = (
            {"user": self._owner.uid, "group": self._owner.gid, "extra_groups": []}
            if self._owner.switch
            else {}
        )
        try:
            done: subprocess.CompletedProcess[str] = subprocess.run(
                command, input=stdin, capture_output=True, text=True, timeout=START_TIMEOUT + 10,
                cwd=self.folder, umask=0o077, start_new_session=True, **as_user,
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            )  # type: ignore[call-overload]  # fmt: skip
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 124, "", "it did not finish in time")
        return done

    def _kill(self) -> None:
        """Kill the server's processes, frozen ones too, and wait until they are gone."""
        try:
            leader = int((self._data / "postmaster.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return
        pids = [leader, *_children(leader)]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + 2
        while any(_is_alive(pid) for pid in pids):
            if time.monotonic() > deadline:
                return
            time.sleep(0.02)
        # In a container that does not reap orphans, the dead leader stays a zombie, which the next
        # server would take for a running one.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        (self._socket_folder() / ".s.PGSQL.5432.lock").unlink(missing_ok=True)

    @contextmanager
    def _start_lock(self) -> Iterator[None]:
        """Let one service at a time start or stop the server; the lock ends with its process."""
        lock = _open_lock(self.folder / "start.lock")
        try:
            deadline = time.monotonic() + 2 * START_TIMEOUT
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise StartupError(
                            f"another process holds {self.folder}/start.lock; stop that process"
                        ) from None
                    time.sleep(0.05)
            yield
        finally:
            os.close(lock)


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _children(leader: int) -> list[int]:
    try:
        text = Path(f"/proc/{leader}/task/{leader}/children").read_text()
    except OSError:
        return []
    return [int(pid) for pid in text.split()]


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
