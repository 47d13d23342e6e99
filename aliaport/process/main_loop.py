"""Runs the HTTP loop, which code of an application cannot end."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

import uvloop


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run `main` on a new loop of uvloop until it ends.

    SystemExit and KeyboardInterrupt leave a loop, whatever task or callback raises them, and
    `stop()` ends it. Both are reported like exceptions that nobody handles, and the loop runs on.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        loop = runner.get_loop()
        task = loop.create_task(main)
        while not task.done():
            try:
                loop.run_until_complete(task)
            except (SystemExit, KeyboardInterrupt, RuntimeError) as error:
                # Python's own handler of SIGINT is replaced before any application runs.
                own = signal.getsignal(signal.SIGINT) is signal.default_int_handler
                if own or task.done() or loop.is_closed():
                    raise
                message = "an application tried to end the process or its loop; they run on"
                loop.call_exception_handler({"message": message, "exception": error})
