"""Ends the tasks and timers that a failed attempt to start left behind, for the next one."""

import asyncio
from collections.abc import Callable
from typing import Any

from aliaport.isolation.bulkhead import Bulkhead
from aliaport.isolation.plugin_loop import Timers
from aliaport.isolation.positions import task_position

END_TIMEOUT = 1.0
"""Seconds that cancelled tasks get to end."""


class Leftovers:
    """The tasks and timers that are born on a plugin's loop during one attempt to start.

    Use `begin` for the call that starts the plugin, then `keep` after the attempt has succeeded, or
    `remove` after it has failed.
    """

    def __init__(self, bulkhead: Bulkhead) -> None:
        self._bulkhead = bulkhead
        self._before: set[asyncio.Task[Any]] = set()
        self._timers = Timers()

    def begin(self, start: Callable[[], Any]) -> Any:
        """Note the tasks that exist, then call `start`; runs on the plugin's loop."""
        self._before = asyncio.all_tasks()
        self._timers.begin()
        return start()

    def keep(self) -> None:
        """Forget what the attempt created, since the plugin uses it."""
        self._timers.keep()

    async def remove(self) -> list[str]:
        """Cancel all of it and wait for the tasks; return the line of each that does not end."""
        run = self._bulkhead.submit(
            self._end, timeout=END_TIMEOUT * 2, freeze=lambda positions: positions
        )
        await run.wait()
        return run.value if run.completed and run.failure is None else [run.where()]

    async def _end(self) -> list[str]:
        alive = await self._cancel()
        self._timers.cancel()
        return alive

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
