"""Kills the processes of the embedded server, and no others."""

import os
import signal
import time
from pathlib import Path

KILL_TIMEOUT = 2.0
"""Seconds."""


def kill_server(leader: int, uid: int, data: Path) -> bool:
    """Kill a server's processes, frozen ones too; return whether all are gone in KILL_TIMEOUT.

    `leader` comes from a file of the server's user: only processes of the user `uid` that work in
    the folder `data` are killed.
    """
    pids = [pid for pid in (leader, *_children(leader)) if _kill(pid, uid, data)]
    deadline = time.monotonic() + KILL_TIMEOUT
    while any(_is_alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _kill(pid: int, uid: int, data: Path) -> bool:
    """Send SIGKILL if it is a process of the server; return whether it was sent."""
    if pid <= 0:
        return False
    try:
        # The descriptor keeps the signal from a process that gets the number of an ended one.
        process = os.pidfd_open(pid)
    except (ProcessLookupError, OverflowError):
        return False
    try:
        if not _belongs(pid, uid, data):
            return False
        signal.pidfd_send_signal(process, signal.SIGKILL)
    except ProcessLookupError:
        return False
    finally:
        os.close(process)
    return True


def _belongs(pid: int, uid: int, data: Path) -> bool:
    process = Path(f"/proc/{pid}")
    try:
        return process.stat().st_uid == uid and (process / "cwd").samefile(data)
    except FileNotFoundError:  # it has ended
        return False
    except PermissionError:  # in a container, root may not look at processes of other users
        return True


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
