"""Signals while the process still imports its modules."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def exit_on_stop_signals() -> Iterator[None]:
    """Exit at once on SIGTERM and SIGINT until the block ends; afterwards on SIGTERM only.

    The kernel drops signals without a handler if this is the first process of a container, so
    there a stop request during the imports would be lost.
    """
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _exit)
    interrupt = signal.getsignal(signal.SIGINT)
    if interrupt is signal.default_int_handler:  # not if started to ignore it, as by nohup
        signal.signal(signal.SIGINT, _exit)
    yield
    signal.signal(signal.SIGINT, interrupt)


def ignore_reopening() -> None:
    """Ignore SIGHUP until the service reopens its log files on it; by default it ends a process."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: None)  # programs that are started do not inherit it


def _exit(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # still here: this is the first process of a container
