"""Watches the HTTP loop: measures its lag, and logs what held it up for seconds."""

import asyncio
import faulthandler
import tempfile
import time
from typing import Any

from aliaport.plugin import Logger

EVERY = 0.25
"""Seconds between two measurements."""

DUMP_LIMIT = 8_000
"""Bytes of the dump that are logged."""


class LoopWatch:
    """Measures the lag of the loop on which it is started.

    A lag of `stall_timeout` seconds is logged with the line of each thread. That dump is
    faulthandler's, whose thread needs no GIL: it names the line of code that holds the GIL in C,
    such as one regular expression that backtracks for ever.
    """

    def __init__(self, log: Logger, stall_timeout: float) -> None:
        self._log = log
        self._stall_timeout = stall_timeout
        self._worst = 0.0
        self._dump: Any = tempfile.TemporaryFile()  # noqa: SIM115
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start watching."""
        self._task = asyncio.get_running_loop().create_task(self._watch())

    def stop(self) -> None:
        """Stop watching."""
        faulthandler.cancel_dump_traceback_later()
        if self._task is not None:
            self._task.cancel()

    def worst_lag(self) -> float:
        """Return the worst lag since the last call, in seconds."""
        worst, self._worst = self._worst, 0.0
        return worst

    async def _watch(self) -> None:
        while True:
            faulthandler.dump_traceback_later(self._stall_timeout, file=self._dump)
            began = time.monotonic()
            await asyncio.sleep(EVERY)
            lag = time.monotonic() - began - EVERY
            self._worst = max(self._worst, lag)
            if lag > self._stall_timeout - EVERY:
                self._report(lag)

    def _report(self, lag: float) -> None:
        self._dump.seek(0)
        threads = self._dump.read(DUMP_LIMIT).decode("utf-8", "replace")
        self._dump.seek(0)
        self._dump.truncate()
        self._log.error(
            "http_loop.stalled",
            lag_s=round(lag, 2),
            threads=threads,
            hint="one thread held the interpreter; run such code in a process of its own",
        )
