"""A pipe that is full and that nobody reads, as the output of a program with a dead consumer."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def unread_pipe(path: Path) -> Iterator[Path]:
    """Create a named pipe at `path` that blocks each write until the block ends."""
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        while True:
            os.write(descriptor, b"x" * 4096)
    except BlockingIOError:
        yield path
    finally:
        os.close(descriptor)
