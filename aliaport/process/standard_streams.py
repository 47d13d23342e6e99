"""Standard input, output and error: open, as everything expects, and written out at the end."""

import contextlib
import os
import sys


def open_missing() -> None:
    """Open /dev/null in place of standard input, output and error where they are closed.

    Otherwise a socket or a file would get their number: text meant for standard error would go to a
    client, and libuv aborts the process when it closes such a socket.

    Writing to a closed standard output still fails, so that a command does not lose its result
    unnoticed.
    """
    for descriptor, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_RDWR)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, flags)  # gets this number: it is the lowest free one
            os.set_inheritable(descriptor, True)  # noqa: FBT003
    sys.stdin = sys.stdin or os.fdopen(0, "r", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def discard_unwritable() -> None:
    """Discard what cannot be written to standard output and error.

    The interpreter would try again when it exits, report that, and change the exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with contextlib.suppress(OSError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)
