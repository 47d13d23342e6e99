"""Makes sure that standard input, output and error are open, as everything else expects."""

import os
import sys


def open_missing() -> None:
    """Open /dev/null in place of standard input, output and error where they are closed.

    Otherwise a socket or a file would get their number: text meant for standard error would go to a
    client, and libuv aborts the process when it closes such a socket.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets this number: it is the lowest free one
            os.set_inheritable(descriptor, True)  # noqa: FBT003
    sys.stdin = sys.stdin or os.fdopen(0, "r", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
