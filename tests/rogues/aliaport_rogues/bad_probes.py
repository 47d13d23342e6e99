"""Probes that hang, block, spin, swallow cancellation, raise and return nonsense."""

import asyncio
import ctypes
import os
import re
import time
from typing import Any

from aliaport.plugin import Check, Plugin, PluginConfig, Probe


class Rogue(Plugin[PluginConfig]):
    api = (1, 0)
    timeout = 0.2
    check: Any

    def probes(self) -> list[Probe]:
        name = type(self).__name__.lower()
        return [Probe(name=f"rogue_{name}", run=self.check, timeout=self.timeout)]


class Healing(Rogue):
    """Returns a result in the end, on a busy machine too."""

    timeout = 2.0


class Hanging(Rogue):
    async def check(self) -> None:
        await asyncio.sleep(3600)  # the line that hangs


class Blocking(Rogue):
    async def check(self) -> None:
        time.sleep(3600)  # the line that blocks


class Threaded(Rogue):
    def check(self) -> None:
        time.sleep(3600)  # the line that blocks its own thread


class Spinning(Rogue):
    async def check(self) -> Check:
        while True:
            sum(range(100))  # the line that spins


class Recursing(Rogue):
    """Creates and drops frames all the time."""

    async def check(self) -> Check:
        async def descend(depth: int) -> None:
            if depth:
                await descend(depth - 1)

        while True:
            await descend(50)


class Swallowing(Rogue):
    async def check(self) -> Check:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue


class Raising(Healing):
    async def check(self) -> Check:
        raise ValueError("postgresql://user:geheim@host/db is wrong")


class Deep(Healing):
    """Raises three frames down."""

    async def check(self) -> Check:
        return self.measure()

    def measure(self) -> Check:
        return self.read()

    def read(self) -> Check:
        raise KeyError("the deepest line")


class Exiting(Healing):
    async def check(self) -> Check:
        raise SystemExit(3)


class Interrupting(Healing):
    def check(self) -> Check:
        raise KeyboardInterrupt


class Cancelling(Healing):
    async def check(self) -> Check:
        raise asyncio.CancelledError


class CancellingAll(Healing):
    """For a while after its first run, cancels all tasks before they begin."""

    until: float | None = None

    async def check(self) -> Check:
        if self.until is None:
            self.until = time.monotonic() + 0.5
            self.cancel(asyncio.get_running_loop(), self.until)
        return Check.healthy()

    def cancel(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        if time.monotonic() < until:
            loop.call_soon(self.cancel, loop, until)


class CallbackExiting(Healing):
    async def check(self) -> Check:
        asyncio.get_running_loop().call_soon(self.leave)
        await asyncio.sleep(0.05)
        return Check.healthy()

    def leave(self) -> None:
        raise SystemExit(4)


class TaskExiting(Healing):
    async def check(self) -> Check:
        self.task = asyncio.create_task(self.leave())
        await asyncio.sleep(0.05)
        return Check.healthy()

    async def leave(self) -> None:
        raise SystemExit(5)


class Stopping(Healing):
    async def check(self) -> Check:
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0.01)
        return Check.healthy()


class Forking(Healing):
    async def check(self) -> Check:
        self.child = os.fork()
        return Check.healthy(child=self.child)


class WrongType(Healing):
    async def check(self) -> str:
        return "fine"


class Huge(Healing):
    async def check(self) -> Check:
        return Check.healthy("x" * 10_000_000, text="y" * 10_000_000)


class Leaking(Healing):
    tasks: list[asyncio.Task[None]] = []

    async def check(self) -> Check:
        self.tasks.append(asyncio.create_task(asyncio.sleep(3600)))
        return Check.healthy()


class HostileText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


class Unprintable(Healing):
    async def check(self) -> Check:
        raise HostileText


class Closing(Healing):
    """Closes the selector of its loop, once."""

    async def check(self) -> Check:
        if not hasattr(self, "closed"):
            self.closed = True
            loop: Any = asyncio.get_running_loop()
            loop._selector.close()  # noqa: SLF001
            await asyncio.sleep(0.05)
        return Check.healthy()


class Damaging(Healing):
    """Overwrites attributes of its loop, once."""

    damage: dict[str, Any] = {"call_soon_threadsafe": None, "_ready": None}

    async def check(self) -> Check:
        if not hasattr(self, "damaged"):
            self.damaged = True
            vars(asyncio.get_running_loop()).update(self.damage)
        return Check.healthy()


class DamagingTasks(Damaging):
    damage = {"call_soon": None}


class DamagingWaits(Damaging):
    damage = {"_selector": None, "stop": None, "is_closed": None, "close": None}


class DamagingState(Damaging):
    damage = {"_closed": True}


class DamagingTurns(Damaging):
    damage = {"_run_once": None, "run_forever": None}


class Siblings(Rogue):
    """One probe blocks the loop that the other needs."""

    def probes(self) -> list[Probe]:
        return [
            Probe(name="blocker", run=self.block, timeout=0.2),
            Probe(name="sibling", run=self.check, timeout=0.2),
        ]

    async def block(self) -> Check:
        time.sleep(3600)  # the call that holds the loop
        return Check.healthy()

    async def check(self) -> Check:
        return Check.healthy()


class Gil(Rogue):
    """Holds the interpreter's lock for most of a second in one regular expression."""

    async def check(self) -> Check:
        size, seconds = 20, 0.0
        while (
            seconds < 0.7
        ):  # on a machine of any speed: each round takes twice as long as the one before
            size, began = size + 1, time.monotonic()
            re.match(r"(a+)+$", "a" * size + "b")
            seconds = time.monotonic() - began
        return Check.healthy(held_s=seconds)


class GilAsleep(Rogue):
    """Holds the interpreter's lock for most of a second without computing."""

    async def check(self) -> Check:
        ctypes.PyDLL(None).usleep(700_000)
        return Check.healthy()


class LongFork(Healing):
    """Forks a child that keeps running."""

    async def check(self) -> Check:
        child = os.fork()
        if child == 0:
            time.sleep(20)
            os._exit(0)
        return Check.healthy(child=child)
