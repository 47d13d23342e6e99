"""Keeps what code of others raises from ending the task or loop that runs it for the service."""

import asyncio
from collections.abc import Awaitable


def is_ending(error: BaseException) -> bool:
    """Return True if the service ends the current task, and not the code that raised `error`."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is None or task.cancelling() > 0
    return isinstance(error, GeneratorExit)


async def outcome(work: Awaitable[object]) -> BaseException | None:
    """Await code of others; return what it raised, even if it would end the loop."""
    try:
        await work
    except BaseException as error:  # the bulkhead: SystemExit would leave the loop
        if is_ending(error):
            raise
        return error
    return None
