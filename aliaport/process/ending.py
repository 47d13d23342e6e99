"""The end of the process: it has one deadline, and the third stop signal needs no main thread."""

import contextlib
import ctypes
import math
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

LAST_FLUSH = 0.5
"""Maximum seconds for writing out standard output after everything else has ended."""

GRACE = 1.0
"""Seconds that the thread gets to enforce the deadline before the kernel's timer does."""


class Ending:
    """Ends the process at its deadline, whatever blocks: a stream, a disk, a plugin, a thread.

    Two things enforce the deadline. A thread does it while Python code holds up the main thread.
    A timer of the kernel, whose handler is the C library's `_exit`, does it if code in C holds the
    interpreter, so that no thread can run. The default action of a signal would not do: the
    kernel drops it for the first process of a container.
    """

    def __init__(self) -> None:
        self._timeout = self._drain = 0.0
        self._at_third: Callable[[], object] = lambda: None
        self._signals = 0
        self._deadline = math.inf
        self._code = 1
        self._leaving = False
        self._lock = threading.Lock()
        self._library = ctypes.CDLL(None)
        self._forward_to = -1
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        threading.Thread(target=self._watch, name="ending", daemon=True).start()

    def watch_signals(self, timeout: float, drain: float, at_third: Callable[[], object]) -> None:
        """Count stop signals from now on; call it in the main thread, on the running loop.

        From the first signal, the process ends within `timeout` seconds; the second one saves
        `drain` of them. The third one ends it after `at_third()`, which gets a second.

        The interpreter's C handler writes each signal to a descriptor at once, even if the main
        thread is busy. Its previous owner, the loop, still receives every signal.
        """
        self._timeout, self._drain, self._at_third = timeout, drain, at_third
        self._forward_to = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        os.register_at_fork(after_in_child=_forget_in_child)

    def within(self, seconds: float, code: int = 1) -> None:
        """End the process after `seconds`, with this exit code, unless it ends before."""
        with self._lock:
            deadline = time.monotonic() + seconds
            if deadline > self._deadline:
                return
            self._deadline, self._code = deadline, code
            self._library.signal(signal.SIGALRM, self._library._exit)  # noqa: SLF001
            signal.setitimer(signal.ITIMER_REAL, seconds + GRACE)
        with contextlib.suppress(BlockingIOError):
            os.write(self._writer, b"\0")  # wakes the thread

    def leave(self, code: int) -> NoReturn:
        """Write out standard output and end the process with this exit code.

        A normal exit would wait for threads that a plugin may block forever.
        """
        self._leaving = True
        self.within(LAST_FLUSH, code)
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(code)

    def _watch(self) -> None:
        ready = select.poll()
        ready.register(self._reader, select.POLLIN)
        while (left := self._deadline - time.monotonic()) > 0:
            if ready.poll(None if left == math.inf else math.ceil(left * 1000)):
                numbers = os.read(self._reader, 512)
                self._forward(numbers)
                for number in numbers:
                    if number in STOP_SIGNALS:
                        self._count(number)
        if not self._leaving:
            _report("the stop did not finish in time, so the process exits now; see end_timeout")
        os._exit(self._code)

    def _forward(self, numbers: bytes) -> None:
        if self._forward_to >= 0 and (signals := numbers.replace(b"\0", b"")):
            with contextlib.suppress(OSError):
                os.write(self._forward_to, signals)

    def _count(self, number: int) -> None:
        self._signals += 1
        if self._signals == 1:
            self.within(self._timeout)
        elif self._signals == 2:
            self.within(self._timeout - self._drain)
        else:
            self.within(GRACE, 128 + number)
            self._at_third()
            os._exit(128 + number)


def _forget_in_child() -> None:
    """Let a plugin's fork end by its own signals; they must not count as signals to the service."""
    signal.set_wakeup_fd(-1)
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def _report(text: str) -> None:
    """Write to standard error unless that would block: nobody may read the pipe."""
    with contextlib.suppress(OSError, ValueError):
        if select.select([], [2], [], 0)[1]:
            os.write(2, f"aliaport: {text}\n".encode())
