"""Waits for a state that no event announces: of another process, a row, a file."""

import asyncio
import http.client
import time
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

ResultT = TypeVar("ResultT")

PATIENCE = 60.0
"""Seconds to wait for something that should happen."""

NOT_YET: tuple[type[Exception], ...] = (OSError, http.client.HTTPException)
"""The exceptions of a server that is not up yet or is restarting."""

MIN_PAUSE, MAX_PAUSE, GROWTH = 0.02, 0.1, 1.3
"""Seconds between two checks: they grow, because each check takes time from the service."""


class NeverHappenedError(AssertionError):
    """The condition did not become true in time."""


class _Attempts:
    """The result of the last check, and the time that is left."""

    def __init__(self, what: str, seconds: float) -> None:
        self._what = what
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._pause = MIN_PAUSE
        self.last = "never checked"

    def left(self) -> bool:
        return time.monotonic() < self._deadline

    def pause(self) -> float:
        """Return the seconds until the next check."""
        pause = self._pause
        self._pause = min(MAX_PAUSE, pause * GROWTH)
        return pause

    def give_up(self) -> NoReturn:
        raise NeverHappenedError(
            f"did not happen in {self._seconds:g} s: {self._what}; last: {self.last[:2000]}"
        )


def wait_until(
    condition: Callable[[], ResultT],
    what: str,
    seconds: float = PATIENCE,
    *,
    retry_on: tuple[type[Exception], ...] = NOT_YET,
) -> ResultT:
    """Call `condition` until its value is true, and return that value.

    An exception of `retry_on` counts as "not yet"; any other one ends the wait. Raises
    NeverHappenedError, which shows the last value or exception.
    """
    attempts = _Attempts(what, seconds)
    while True:
        # Read before the check: a machine that stalls during it must still get a last one.
        was_in_time = attempts.left()
        try:
            value = condition()
        except retry_on as error:
            attempts.last = repr(error)
        else:
            if value:
                return value
            attempts.last = repr(value)
        if not was_in_time:
            attempts.give_up()
        time.sleep(attempts.pause())


async def eventually(
    condition: Callable[[], Awaitable[ResultT]], what: str, seconds: float = PATIENCE
) -> ResultT:
    """Await `condition` until its value is true, like `wait_until`, without blocking the loop."""
    attempts = _Attempts(what, seconds)
    while True:
        was_in_time = attempts.left()
        if value := await condition():
            return value
        attempts.last = repr(value)
        if not was_in_time:
            attempts.give_up()
        await asyncio.sleep(attempts.pause())
