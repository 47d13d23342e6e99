"""Watches the HTTP loop: measures its lag, and logs what blocked it for seconds."""

import asyncio
import contextlib
import faulthandler
import functools
import os
import re
import signal
import sys
import threading
import time
import traceback

from aliaport.plugin import Logger

EVERY = 0.25
"""Seconds between two measurements."""

SAMPLES = 4
"""Samples taken of computing code within one stall timeout."""

TEXT_LIMIT = 4_000
"""Maximum number of characters logged of the samples, and again of all threads' lines."""

_PIPE_SIZE = 65_536
_COMPUTED = "code computed for that long; run such code in a separate process"
_WAITED = (
    "code blocked the HTTP loop or the whole interpreter: await it, or call it in a thread; "
    "if every thread below is idle, the process itself was paused"
)


class LoopWatch:
    """Measures the lag of the loop on which it is started.

    A lag of `stall_timeout` seconds is logged with the line of each thread, from two sources:

    - A thread looks at the frames of all threads. It cannot run while code holds the GIL.
    - A timer that counts the process's CPU time interrupts the thread that computes, and
      faulthandler writes the lines of that thread. This needs no GIL: it names the code that
      holds it in C, such as a regular expression that backtracks forever.

    Neither reads the frames of a thread while it runs. `faulthandler.dump_traceback_later` would:
    after a pause of the whole process, its thread wakes alongside the others, and the interpreter
    crashes.
    """

    def __init__(self, log: Logger, stall_timeout: float) -> None:
        self._log = log
        self._stall_timeout = stall_timeout
        self._worst = 0.0
        self._beat = time.monotonic()
        self._cpu_at_beat = time.process_time()
        self._reported = 0.0
        self._lock = threading.Lock()
        self._task: asyncio.Task[None] | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="loop-watch", daemon=True)
        self._loop_thread = 0

    def start(self) -> None:
        """Start watching."""
        self._loop_thread = threading.get_ident()
        self._task = asyncio.get_running_loop().create_task(self._measure())
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        self._stopped.set()
        if self._task is not None:
            self._task.cancel()

    def worst_lag(self) -> float:
        """Return the worst lag since the last call, in seconds."""
        worst, self._worst = self._worst, 0.0
        return worst

    async def _measure(self) -> None:
        interval = self._stall_timeout / SAMPLES
        while True:
            signal.setitimer(signal.ITIMER_PROF, interval, interval)
            _read_samples()  # code that computed before this did not block the loop
            self._cpu_at_beat = time.process_time()
            self._beat = beat = time.monotonic()
            await asyncio.sleep(EVERY)
            lag = time.monotonic() - beat - EVERY
            self._worst = max(self._worst, lag)
            if self._reported == beat:
                self._log.warning("http_loop.resumed", lag_s=round(lag, 2))
            elif lag > self._stall_timeout:
                self._report(beat)  # the watching thread is late too

    def _watch(self) -> None:
        wait = self._stall_timeout
        while not self._stopped.wait(wait):
            beat = self._beat
            wait = beat + self._stall_timeout - time.monotonic()
            if wait <= 0:
                self._report(beat)
                wait = EVERY

    def _report(self, beat: float) -> None:
        """Log the stall since `beat`, unless it was already logged."""
        with self._lock:
            if self._reported == beat:
                return
            self._reported = beat
        lag = time.monotonic() - beat
        cpu = time.process_time() - self._cpu_at_beat
        self._log.error(
            "http_loop.stalled",
            lag_s=round(lag, 2),
            cpu_s=round(cpu, 2),
            threads=_read_samples() + self._thread_lines(),
            hint=_COMPUTED if cpu > lag / 2 else _WAITED,
        )

    def _thread_lines(self) -> str:
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        # The only way to see another thread's frame; documented despite its name.
        frames = sys._current_frames()  # noqa: SLF001
        del frames[threading.get_ident()]
        order = sorted(frames, key=lambda ident: ident != self._loop_thread)
        text = ""
        for ident in order:
            text += f"Thread {names.get(ident, ident)} (most recent call first):\n"
            for frame, line in traceback.walk_stack(frames[ident]):
                text += (
                    f'  File "{frame.f_code.co_filename}", line {line} in {frame.f_code.co_name}\n'
                )
        return text[:TEXT_LIMIT]


@functools.cache
def _samples() -> int:
    """Make SIGPROF write the lines of the thread that it interrupts to a pipe; return its read end.

    The handler is installed once and stays: without one, a late SIGPROF would kill the process. If
    the pipe is full, the newest samples are lost; nothing waits for it.
    """
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    faulthandler.register(signal.SIGPROF, file=writer, all_threads=False)
    return reader


def _read_samples() -> str:
    """Read and remove the samples of computing code, each stack once."""
    text = ""
    with contextlib.suppress(BlockingIOError):
        text = os.read(_samples(), _PIPE_SIZE).decode("utf-8", "replace")
    stacks = dict.fromkeys(re.split(r"^(?=\S)", text, flags=re.MULTILINE))
    return "".join(stacks)[:TEXT_LIMIT]
