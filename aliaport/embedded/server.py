"""The embedded server: created once, taken over after a crash, stopped by its last user."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from aliaport.embedded.owner import (
    SYSTEM_FOLDER,
    Owner,
    existing_owner,
    installed,
    programs,
    server_owner,
)
from aliaport.embedded.processes import kill_server
from aliaport.embedded.roles import CREATE, DATABASE, DEMOTE, ROLE, SUPERUSER
from aliaport.embedded.sockets import (
    Address,
    new_address,
    recorded_leader,
    require_private,
    running_address,
)
from aliaport.errors import StartupError
from aliaport.process.limits import limit_error, process_limit_problem, thread_limit_error
from aliaport.regular_files import open_regular
from aliaport.writable import check_appendable

START_TIMEOUT = 30
"""Seconds."""

RESPONSE_TIMEOUT = 10
"""Seconds after which a running server that does not respond is taken for frozen, and killed."""

RECOVERY_INTERVAL = 0.1
"""Seconds between two looks at a server that starts or recovers."""

LOG_LIMIT = 1_000_000
"""Bytes."""

MIN_ROOM = 32
"""Processes and threads that a limit should leave once the server runs: the bundled plugins open up
to 20 connections, each of which is a process, and start 10 more threads.
"""

START_LOCK = "start.lock"
USERS_LOCK = "users.lock"
_PROCESS = "process of the embedded database"
_FORK_FAILED = re.compile(
    r"\bfork\b.*: Resource temporarily unavailable|Cannot fork|"
    r"could not execute command .*: Cannot allocate memory"
)
_OPTIONS = (
    "-c listen_addresses='' -c shared_buffers=16MB -c max_connections=50 "
    "-c log_timezone=UTC -c timezone=UTC -c unix_socket_permissions=0700 -k {0.folder} -p {0.port}"
)


def own_folder() -> Path:
    """Return the data folder of the current working folder. Raises StartupError if it is gone."""
    try:
        return default_folder(Path.cwd())
    except FileNotFoundError:
        raise StartupError("the working folder has been deleted; change to another one") from None


def default_folder(working_folder: Path) -> Path:
    """Return the data folder of a working folder: below it or, for root, under /var/lib."""
    if os.geteuid() != 0:
        return working_folder / ".aliaport" / "postgresql"
    return SYSTEM_FOLDER / hashlib.sha256(os.fsencode(working_folder)).hexdigest()[:12]


def check_embedded(folder: Path) -> None:
    """Raise the StartupError of a database that is not installed or whose folder is unusable.

    Nothing is started or changed.
    """
    installed()
    owner = existing_owner()
    try:
        for name in (START_LOCK, USERS_LOCK):
            check_appendable(folder / name)
        if owner is not None and folder.is_dir():
            _reject_other_user(folder, folder.stat(), owner)
            sockets = new_address(folder, owner.uid).folder
            if os.path.lexists(sockets):
                require_private(sockets, owner.uid)
    except OSError as error:
        raise _unusable(folder, error) from None


def _reject_other_user(folder: Path, found: os.stat_result, owner: Owner) -> None:
    if found.st_uid not in (os.geteuid(), owner.uid):
        raise StartupError(
            f"{folder} belongs to another user; start the service as that user, in "
            "another working folder, or set DATABASE_URL"
        )


def _unusable(folder: Path, error: OSError) -> StartupError:
    return StartupError(
        f"cannot use the embedded database in {folder}: {error.filename or folder}: "
        f"{error.strerror}; make the folder writable for this user, or set DATABASE_URL"
    )


class EmbeddedPostgres:
    """One server, shared by all services of a folder. Methods block; call them in any thread.

    The folder holds locks and the log, which belong to the service's user, and the server's own
    folders `data` and `sockets`. For root, these belong to the system user of the server, which
    can write nowhere else.
    """

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
            self._take_folder()
            with self._start_lock():
                self._users = _open_lock(self.folder / USERS_LOCK)
                shared = not _lock_alone(self._users)
                fcntl.flock(self._users, fcntl.LOCK_SH)
                if not self._data.exists():
                    self._initialise()
                if self._owner.switch:
                    self._make_private(self._data)
                address = self._ensure_running(shared=shared)
                self._demote_role(address)
        except BlockingIOError:  # the kernel refused to fork
            raise thread_limit_error(_PROCESS) from None
        except OSError as error:
            raise limit_error(error) or _unusable(self.folder, error) from None
        return address.url

    def limit_problem(self) -> str:
        """Return which limit may keep the running server from forking, and what to set, or ''."""
        return process_limit_problem(MIN_ROOM, self._owner.uid)

    def stop(self) -> None:
        """Stop the server if no other service uses it.

        Takes at most 5 s, and longer while another service starts it.
        """
        if self._users is None:
            return
        users, self._users = self._users, None
        try:
            with self._start_lock():
                if _lock_alone(users):
                    self._stop_server()
        finally:
            os.close(users)

    def _stop_server(self) -> None:
        address = self._running_address()
        try:
            stopped = any(
                self._control("stop", "-m", mode, "-t", str(seconds), "-w").returncode == 0
                for mode, seconds in (("fast", 2), ("immediate", 1))
            )
        except BlockingIOError:  # at the limit of processes, none can be started for this
            stopped = False
        if not stopped:
            self._kill()
        if address is not None:
            with suppress(OSError):  # a server that was killed leaves its socket there
                address.folder.rmdir()

    def _take_folder(self) -> None:
        """Create the folder, or take it over: in 3.1 it belonged to the server's user."""
        if not self.folder.exists():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700)
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _reject_other_user(self.folder, os.fstat(folder), self._owner)
            if self._owner.switch:
                os.fchown(folder, os.geteuid(), self._owner.gid)
                os.fchmod(folder, 0o710)
        finally:
            os.close(folder)

    def _make_private(self, folder: Path) -> None:
        """Create a folder of the server's user, or check that it is one and not a link."""
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            os.chown(folder, self._owner.uid, self._owner.gid)
        require_private(folder, self._owner.uid)

    def _initialise(self) -> None:
        """Create the data in a temporary folder and move it, so that no partial data remains."""
        for left in self.folder.glob("new-*"):
            shutil.rmtree(left, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(prefix="new-", dir=self.folder))
        os.chown(temporary, self._owner.uid, self._owner.gid)
        data = temporary / "data"
        self._run_checked(
            "initdb", "-D", str(data), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8",
            "--locale=C", "--no-instructions",
        )  # fmt: skip
        self._run_checked(
            "postgres", "--single", "-c", "exit_on_error=on", "-D", str(data), "postgres",
            stdin=CREATE,
        )  # fmt: skip
        data.rename(self._data)
        temporary.rmdir()

    def _ensure_running(self, *, shared: bool) -> Address:
        """Return the address of the running server or else of a new one.

        One is killed only if it is frozen: `shared` says whether another service uses it.
        """
        address = self._running_address()
        if address is not None and self._responds(address):
            return address
        if self._control("status").returncode == 0:
            if address is not None:
                self._kill()
            elif shared:
                raise StartupError(
                    f"another service uses the embedded database in {self.folder}, whose socket "
                    "cannot be reached from here; start both with the same TMPDIR and without "
                    "PrivateTmp, in a working folder with a shorter and plain path, or set "
                    "DATABASE_URL"
                )
            else:
                self._stop_server()
        return self._start_server()

    def _running_address(self) -> Address | None:
        return running_address(self.folder, self._data, self._owner.uid)

    def _start_server(self) -> Address:
        address = new_address(self.folder, self._owner.uid)
        self._make_private(address.folder)
        path = self.folder / "server.log"
        options = _OPTIONS.format(address)
        with self._open_log(path) as log:
            started = self._control(
                "start", "-w", "-t", str(START_TIMEOUT), "-o", options, output=log
            )
            log.seek(max(0, log.seek(0, os.SEEK_END) - 600))
            tail = log.read().decode("utf-8", "replace").strip()
        if started.returncode != 0:
            raise _out_of_processes(tail) or StartupError(
                f"the embedded database in {self.folder} does not start: {tail}; see "
                f"{path}, delete the folder to start with an empty database, or set DATABASE_URL"
            )
        return address

    def _open_log(self, path: Path) -> IO[bytes]:
        """Open the server's log, which pg_ctl and the server inherit: they need no right to it."""
        with suppress(FileNotFoundError):
            if path.lstat().st_uid != os.geteuid():  # 3.1 let the server create it
                path.unlink()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        log = os.fdopen(open_regular(path, flags, private=True), "rb+")
        if os.fstat(log.fileno()).st_size > LOG_LIMIT:
            os.ftruncate(log.fileno(), 0)
        return log

    def _demote_role(self, address: Address) -> None:
        """Convert a server of 3.1, in which the service's role was the superuser."""
        self._run_checked(
            "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *address.arguments, "-U", ROLE,
            "-d", DATABASE, stdin=DEMOTE,
        )  # fmt: skip

    def _responds(self, address: Address) -> bool:
        command = ("pg_isready", "-q", *address.arguments, "-t", str(RESPONSE_TIMEOUT))
        deadline = time.monotonic() + START_TIMEOUT
        while (code := self._run(*command).returncode) == 1 and time.monotonic() < deadline:
            time.sleep(RECOVERY_INTERVAL)
        return code == 0

    def _control(
        self, verb: str, *arguments: str, output: int | IO[bytes] = subprocess.PIPE
    ) -> "subprocess.CompletedProcess[str]":
        # Relative to the working folder: pg_ctl puts the path into a shell command.
        return self._run("pg_ctl", verb, "-D", self._data.name, *arguments, output=output)

    def _run_checked(self, program: str, *arguments: str, stdin: str = "") -> None:
        done = self._run(program, *arguments, stdin=stdin)
        if done.returncode != 0:
            raise _out_of_processes(done.stderr) or StartupError(
                f"{program} of the embedded database failed: {done.stderr.strip()[-600:]}; "
                "set DATABASE_URL to use another database"
            )

    def _run(
        self,
        program: str,
        *arguments: str,
        stdin: str = "",
        output: int | IO[bytes] = subprocess.PIPE,
    ) -> "subprocess.CompletedProcess[str]":
        command = [str(self._programs / program), *arguments]
        as_user = (
            {"user": self._owner.uid, "group": self._owner.gid, "extra_groups": []}
            if self._owner.switch
            else {}
        )
        try:
            done: subprocess.CompletedProcess[str] = subprocess.run(
                command, input=stdin, stdout=output, stderr=output, text=True, errors="replace",
                timeout=START_TIMEOUT + 10,
                cwd=self.folder, umask=0o077, start_new_session=True, **as_user,
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            )  # type: ignore[call-overload]  # fmt: skip
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 124, "", "it did not finish in time")
        return done

    def _kill(self) -> None:
        """Kill the server's processes, frozen ones too, and wait until they are gone."""
        leader, address = recorded_leader(self._data), self._running_address()
        if leader is not None and kill_server(leader, self._owner.uid, self._data):
            # In a container that does not reap orphans, the dead leader stays a zombie, which the
            # next server would take for a running one.
            (self._data / "postmaster.pid").unlink(missing_ok=True)
            if address is not None:
                address.lock.unlink(missing_ok=True)

    @contextmanager
    def _start_lock(self) -> Iterator[None]:
        """Let one service at a time start or stop the server; the lock ends with its process."""
        lock = _open_lock(self.folder / START_LOCK)
        try:
            deadline = time.monotonic() + 2 * START_TIMEOUT
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise StartupError(
                            f"another process holds {self.folder / START_LOCK}; stop that process"
                        ) from None
                    time.sleep(0.05)
            yield
        finally:
            os.close(lock)


def _open_lock(path: Path) -> int:
    return open_regular(path, os.O_RDWR | os.O_CREAT, private=True)


def _lock_alone(lock: int) -> bool:
    """Take the lock for this process alone, unless others hold it; return whether it is taken."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _out_of_processes(output: str) -> StartupError | None:
    """Return the error that names the limit on processes if a program of the server reached it."""
    return thread_limit_error(_PROCESS) if _FORK_FAILED.search(output) else None
