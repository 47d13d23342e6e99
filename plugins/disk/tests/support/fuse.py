"""A FUSE server without a library, which speaks the kernel's protocol itself.

fuse(4), include/uapi/linux/fuse.h. It needs root and /dev/fuse. Use it in a mount namespace of its
own.
"""

import ctypes
import errno
import os
import select
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IN_HEADER = struct.Struct("=IIQQIIII")  # len, opcode, unique, nodeid, uid, gid, pid, padding
OUT_HEADER = struct.Struct("=IiQ")  # len, error, unique
INIT_OUT = struct.Struct("=IIIIHHIIHHI28x")  # major, minor, max_readahead, flags, … max_write …
ATTR_OUT = struct.Struct("=QII6Q3I7I")  # valid, nsec, dummy; ino, size, …; nsec …; mode, nlink, …
STATFS_OUT = struct.Struct("=5Q4I24x")  # blocks, bfree, bavail, files, ffree, bsize, namelen, …
GETATTR, STATFS, INIT = 3, 17, 26
MNT_DETACH = 2

libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def hung_mount(point: Path) -> Iterator[None]:
    """Mount a file system on `point` on which every call blocks until the context ends.

    Then the connection is aborted, which wakes all blocked calls with an error.
    """
    with _mounted(point, "hang"):
        yield


@contextmanager
def reporting_mount(point: Path, *values: int, block_size: int) -> Iterator[None]:
    """Mount an empty file system whose statfs returns these values.

    They are f_blocks, f_bfree, f_bavail, f_files and f_ffree; negative ones as a C program would
    store them.
    """
    with _mounted(point, *map(str, values), str(block_size)):
        yield


@contextmanager
def _mounted(point: Path, *behavior: str) -> Iterator[None]:
    """Run a server with `behavior`, and remove the mount afterwards.

    The server is a separate process: a process that holds the descriptor and blocks on the mount
    could not end. It exits when its standard input closes, so it never outlives this process.
    """
    fd = os.open("/dev/fuse", os.O_RDWR)
    try:
        options = f"fd={fd},rootmode=40000,user_id=0,group_id=0"
        if libc.mount(b"test", os.fsencode(point), b"fuse", 0, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), "cannot mount FUSE", str(point))
        server = subprocess.Popen(
            [sys.executable, __file__, str(fd), *behavior],
            pass_fds=[fd],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
    finally:
        os.close(fd)
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        if server.stdout.readline() != b"ready\n":
            raise RuntimeError("the FUSE server failed on the kernel's INIT request")
        yield
    finally:
        server.stdin.close()
        server.wait(timeout=10)
        server.stdout.close()
        libc.umount2(os.fsencode(point), MNT_DETACH)


def serve(fd: int, behavior: list[str]) -> None:
    """Respond to INIT, then to statfs and stat, or to nothing, until standard input closes."""
    opcode, unique = receive(fd)
    if opcode != INIT:
        raise RuntimeError(f"the kernel's first request was {opcode}, not INIT")
    respond(fd, unique, INIT_OUT.pack(7, 31, 0, 0, 0, 0, 4096, 1, 0, 0, 0))
    print("ready", flush=True)
    if behavior == ["hang"]:
        sys.stdin.read()
        return
    folder = ATTR_OUT.pack(
        0, 0, 0, *(1, 0, 0, 0, 0, 0), *(0, 0, 0), stat.S_IFDIR | 0o755, 2, *[0] * 5
    )
    *counts, block_size = map(int, behavior)
    values = STATFS_OUT.pack(*(count % 2**64 for count in counts), block_size, 255, block_size, 0)
    while True:
        readable, _, _ = select.select([fd, sys.stdin], [], [])
        if sys.stdin in readable:
            return
        opcode, unique = receive(fd)
        if opcode in (GETATTR, STATFS):
            respond(fd, unique, folder if opcode == GETATTR else values)
        else:
            os.write(fd, OUT_HEADER.pack(OUT_HEADER.size, -errno.ENOSYS, unique))


def receive(fd: int) -> tuple[int, int]:
    _, opcode, unique, *_ = IN_HEADER.unpack_from(os.read(fd, 1 << 18))
    return opcode, unique


def respond(fd: int, unique: int, body: bytes) -> None:
    os.write(fd, OUT_HEADER.pack(OUT_HEADER.size + len(body), 0, unique) + body)


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2:])
