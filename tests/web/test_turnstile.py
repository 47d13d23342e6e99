"""Requests that arrive together begin a few at a time, in order."""

import asyncio
import time

import uvloop

from aliaport.web.turnstile import BEGUN_AT_ONCE, Turnstile

CALLERS = 5 * BEGUN_AT_ONCE


def test_a_burst_begins_in_several_turns_of_the_loop_and_in_order() -> None:
    async def burst() -> tuple[list[int], list[int]]:
        turnstile, begun = Turnstile(), list[int]()

        async def call(number: int) -> None:
            if turnstile.is_closed():
                assert await turnstile.wait() >= 0
            begun.append(number)
            time.sleep(0.001)  # real requests take longer than the resolution of the clock

        callers = [asyncio.create_task(call(number)) for number in range(CALLERS)]
        callers[-1].cancel()  # a client that has gone
        counts = []
        while not all(caller.done() for caller in callers):
            await asyncio.sleep(0)
            counts.append(len(begun))
        late = asyncio.create_task(call(CALLERS))
        await late
        return begun, counts

    begun, counts = uvloop.run(burst())  # the HTTP loop's own kind
    assert begun == [*range(CALLERS - 1), CALLERS]
    steps = [after - before for before, after in zip([0, *counts], counts, strict=False)]
    assert max(steps) <= BEGUN_AT_ONCE, f"begun in each turn: {steps}"


def test_single_requests_do_not_wait() -> None:
    async def one_by_one() -> list[bool]:
        turnstile, closed = Turnstile(), []
        for _ in range(CALLERS):
            closed.append(turnstile.is_closed())
            await asyncio.sleep(0.001)
        return closed

    assert not any(uvloop.run(one_by_one()))
