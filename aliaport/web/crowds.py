"""Callers of the same view share one rendering, of runs that begin after their calls."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

GatheredT = TypeVar("GatheredT")
RenderedT = TypeVar("RenderedT")

MAX_PAUSE = 0.05
"""Seconds from the begin of a group to that of the next one, if the first still waits for results.

Otherwise, a slow probe would keep those that call meanwhile waiting twice as long.
"""

WOKEN_AT_ONCE = 32
"""Callers that send their responses before other requests, such as /health, have a turn."""


class Crowds:
    """The groups of callers that wait for one rendering each. Use it on the HTTP loop only.

    A view has one group at a time: those that call meanwhile form the next one. So a flood costs no
    more than one caller does.
    """

    def __init__(self) -> None:
        self._views: dict[Hashable, _View] = {}

    async def join(
        self,
        view: Hashable,
        gather: Callable[[float, int], Awaitable[GatheredT]],
        render: Callable[[GatheredT], Awaitable[RenderedT]],
    ) -> RenderedT:
        """Return what the caller's group renders; its first caller does the work for all.

        `gather` gets the seconds since the first caller came, and the number of callers. It begins
        or joins the runs once the last one came: so nobody is served a result that was there before
        the call.
        """
        loop = asyncio.get_running_loop()
        came = loop.time()
        known = self._views.get(view)
        if known is None:
            known = self._views[view] = _View()
        elif known.waiting is not None:
            rendered: RenderedT
            for rendered in await known.waiting.wait():
                return rendered
            # The first caller failed; this one need not.
            return await render(await gather(loop.time() - came, 1))
        group = _Group(loop)
        outcome: tuple[RenderedT, ...] = ()
        try:
            if known.running is not None:
                await known.wait_for_turn(group)
            known.running, known.began = group, loop.time()
            rendered = await render(await gather(known.began - came, len(group)))
            outcome = (rendered,)
            return rendered
        finally:
            known.end(group)
            if known.running is known.waiting is None:
                self._views.pop(view, None)
            group.wake(outcome)


class _View:
    """The group of a view that began last, until it ends, and the one that forms meanwhile."""

    __slots__ = ("_turn", "began", "running", "waiting")

    def __init__(self) -> None:
        self.running: _Group | None = None
        self.waiting: _Group | None = None
        self.began = 0.0
        self._turn: asyncio.Event | None = None

    async def wait_for_turn(self, group: "_Group") -> None:
        """Let a group form until the running one ends, at most MAX_PAUSE after its begin."""
        self.waiting, self._turn = group, asyncio.Event()
        try:
            async with asyncio.timeout_at(self.began + MAX_PAUSE):
                await self._turn.wait()
        except TimeoutError:
            pass
        finally:
            self.waiting = None

    def end(self, group: "_Group") -> None:
        """Let the next group begin, if this is the one that began last."""
        if self.running is group:
            self.running = None
            if self._turn is not None:
                self._turn.set()


class _Group:
    __slots__ = ("_callers", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._callers: list[asyncio.Future[tuple[Any, ...]]] = []

    def __len__(self) -> int:
        return 1 + len(self._callers)

    async def wait(self) -> tuple[Any, ...]:
        """Return what was rendered, or nothing if the first caller failed."""
        future = self._loop.create_future()
        self._callers.append(future)
        outcome: tuple[Any, ...] = await future
        return outcome

    def wake(self, outcome: tuple[Any, ...]) -> None:
        """Give the outcome to all that wait, a few each time that the loop turns."""
        some, self._callers = self._callers[:WOKEN_AT_ONCE], self._callers[WOKEN_AT_ONCE:]
        for future in some:
            if not future.done():
                future.set_result(outcome)
        if self._callers:
            self._loop.call_soon(self.wake, outcome)
