"""Lets only some of the requests that arrive together begin at once, so that others have a turn."""

import asyncio
from collections import deque

from aiohttp import web

BEGUN_AT_ONCE = 32
"""Requests that begin in one turn of the loop: a few milliseconds, which /health waits at most."""


WAITED = web.RequestKey("waited", float)
"""The key of a request that had to wait: for how many seconds. Its deadline includes them."""


class Turnstile:
    """Counts the requests that begin in one turn of the loop. Use it on the HTTP loop only."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._begun = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def is_closed(self) -> bool:
        """Return True if the request must `wait`; otherwise, it counts as begun."""
        if not self._begun:
            self._loop.call_soon(self._next_turn)
        self._begun += 1
        return self._begun > BEGUN_AT_ONCE

    async def wait(self) -> float:
        """Wait for those who came first, and for the next turn; return the seconds that it took."""
        came = self._loop.time()
        waiting = self._loop.create_future()
        self._waiting.append(waiting)
        await waiting
        return self._loop.time() - came

    def _next_turn(self) -> None:
        self._begun = min(BEGUN_AT_ONCE, len(self._waiting))
        for _ in range(self._begun):
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
        if self._begun:
            self._loop.call_soon(self._next_turn)
