"""A file system that really hangs: a FUSE server that responds to the first request only.

It needs root and /dev/fuse, but no library: it speaks the kernel's protocol itself (fuse(4),
include/uapi/linux/fuse.h). Use it in a mount namespace of its own.
"""

import ctypes
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IN_HEADER = struct.Struct("=IIQQIIII")  # len, opcode, unique, nodeid, uid, gid, pid, padding
OUT_HEADER = struct.Struct("=IiQ")  # len, error, unique
INIT_OUT = struct.Struct("=IIIIHHIIHHI28x")  # major, minor, max_readahead, flags, … max_write …
INIT = 26
MNT_DETACH = 2

libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def hung_mount(point: Path) -> Iterator[None]:
    """Mount a file system on `point` on which every call blocks until the context ends.

    Then the connection is aborted, which wakes all blocked calls with an error, and the mount is
    removed. The server runs in a separate process: a process that holds the descriptor and blocks
    on the mount could not end. The server exits when its standard input closes, so it never
    outlives this process.
    """
    fd = os.open("/dev/fuse", os.O_RDWR)
    try:
        options = f"fd={fd},rootmode=40000,user_id=0,group_id=0"
        if libc.mount(b"hung", os.fsencode(point), b"fuse", 0, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), "cannot mount FUSE", str(point))
        server = subprocess.Popen(
            [sys.executable, __file__, str(fd)],
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


def serve(fd: int) -> None:
    """Respond to INIT, then leave every request unread until standard input closes."""
    request = os.read(fd, 1 << 18)
    _, opcode, unique, *_ = IN_HEADER.unpack_from(request)
    if opcode != INIT:
        raise RuntimeError(f"the kernel's first request was {opcode}, not INIT")
    body = INIT_OUT.pack(7, 31, 0, 0, 0, 0, 4096, 1, 0, 0, 0)
    os.write(fd, OUT_HEADER.pack(OUT_HEADER.size + len(body), 0, unique) + body)
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
