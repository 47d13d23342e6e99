"""Callers of the same moment and view share one rendering, instead of one each."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

GatheredT = TypeVar("GatheredT")
RenderedT = TypeVar("RenderedT")

MOMENT = 0.02
"""Seconds in which callers count as simultaneous: they share the first one's deadline."""


class Crowds:
    """The groups of callers that wait for one rendering. Use it on the HTTP loop only."""

    def __init__(self) -> None:
        self._groups: dict[Hashable, _Group] = {}

    async def join(
        self,
        view: Hashable,
        gather: Callable[[], Awaitable[GatheredT]],
        render: Callable[[GatheredT], Awaitable[RenderedT]],
    ) -> RenderedT:
        """Return what the group of this view renders; the first caller does the work for all.

        `view` names everything that the rendering depends on, including the runs that it waits for:
        so nobody is served a result that was there before the call. Once the results are gathered,
        the next caller begins a new group.
        """
        group = self._groups.get(view)
        if group is not None and time.monotonic() - group.began <= MOMENT:
            rendered: RenderedT
            for rendered in await group.wait():
                return rendered
            return await render(await gather())  # the first caller failed; this one need not
        group = self._groups[view] = _Group()
        outcome: tuple[RenderedT, ...] = ()
        try:
            gathered = await gather()
            self._close(view, group)
            rendered = await render(gathered)
            outcome = (rendered,)
            return rendered
        finally:
            self._close(view, group)
            group.wake(outcome)

    def _close(self, view: Hashable, group: "_Group") -> None:
        if self._groups.get(view) is group:
            del self._groups[view]


class _Group:
    __slots__ = ("_waiting", "began")

    def __init__(self) -> None:
        self.began = time.monotonic()
        self._waiting: list[asyncio.Future[tuple[Any, ...]]] = []

    async def wait(self) -> tuple[Any, ...]:
        """Return what was rendered, or nothing if the first caller failed."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        outcome: tuple[Any, ...] = await future
        return outcome

    def wake(self, outcome: tuple[Any, ...]) -> None:
        """Give the outcome to all that wait.

        All at once: if other requests had turns in between, they would start runs of their own.
        """
        for future in self._waiting:
            if not future.done():
                future.set_result(outcome)
