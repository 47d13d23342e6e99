"""Ends the tasks that a failed attempt to start left behind, so that the next one starts clean."""

import asyncio
from collections.abc import Callable
from typing import Any

from aliaport.isolation.bulkhead import Bulkhead
from aliaport.isolation.positions import task_position

END_TIMEOUT = 1.0
"""Seconds that cancelled tasks get to end."""


class Leftovers:
    """The tasks that are born on a plugin's loop during one attempt to start.

    Use `begin` for the call that starts the plugin, and `remove` after the attempt has failed.
    """

    def __init__(self, bulkhead: Bulkhead) -> None:
        self._bulkhead = bulkhead
        self._before: set[asyncio.Task[Any]] = set()

    def begin(self, start: Callable[[], Any]) -> Any:
        """Note the tasks that exist, then call `start`; runs on the plugin's loop."""
        self._before = asyncio.all_tasks()
        return start()

    async def remove(self) -> list[str]:
        """Cancel the tasks and wait for their end; return the line of each that does not end."""
        run = self._bulkhead.submit(
            self._cancel, timeout=END_TIMEOUT * 2, freeze=lambda positions: positions
        )
        await run.done
        return run.value if run.completed and run.failure is None else [run.where()]

    async def _cancel(self) -> list[str]:
        born = asyncio.all_tasks() - self._before
        born -= {run.task for run in list(self._bulkhead.unfinished) if run.task is not None}
        for task in born:
            task.cancel()
        if not born:
            return []
        _, alive = await asyncio.wait(born, timeout=END_TIMEOUT)
        package, thread = self._bulkhead.package, self._bulkhead.thread_id
        return [task_position(task, thread, package) for task in alive]
