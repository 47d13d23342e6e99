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
        self._time = asyncio.get_running_loop().time
        self._turn = -1.0
        self._begun = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def is_closed(self) -> bool:
        """Return True if the request must `wait`; otherwise, it counts as begun."""
        turn = self._time()  # uvloop's does not change within a turn
        if turn != self._turn:
            self._turn, self._begun = turn, 0
        self._begun += 1
        return self._begun > BEGUN_AT_ONCE or len(self._waiting) > 0

    async def wait(self) -> float:
        """Wait for those who came first, and for the next turn; return the seconds that it took."""
        loop = asyncio.get_running_loop()
        came = loop.time()
        if not self._waiting:
            loop.call_soon(self._open, loop)
        waiting = loop.create_future()
        self._waiting.append(waiting)
        await waiting
        return loop.time() - came

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        for _ in range(min(BEGUN_AT_ONCE, len(self._waiting))):
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
        if self._waiting:
            loop.call_soon(self._open, loop)
