"""Probes that hang, block, spin, swallow cancellation, raise and answer nonsense."""

import asyncio
import os
import re
import time

from aliaport.plugin import Check, Plugin, PluginConfig, Probe


class Rogue(Plugin[PluginConfig]):
    api = (1, 0)
    timeout = 0.2

    def probes(self):
        name = type(self).__name__.lower()
        return [Probe(name=f"rogue_{name}", run=self.check, timeout=self.timeout)]


class Healing(Rogue):
    """Answers in the end, on a busy machine too."""

    timeout = 2


class Hanging(Rogue):
    async def check(self):
        await asyncio.sleep(3600)  # the line that hangs


class Blocking(Rogue):
    async def check(self):
        time.sleep(3600)  # the line that blocks


class Threaded(Rogue):
    def check(self):
        time.sleep(3600)  # the line that blocks its own thread


class Spinning(Rogue):
    async def check(self):
        while True:
            sum(range(100))  # the line that spins


class Swallowing(Rogue):
    async def check(self):
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue


class Raising(Rogue):
    async def check(self):
        raise ValueError("postgresql://user:geheim@host/db is wrong")


class Exiting(Rogue):
    async def check(self):
        raise SystemExit(3)


class Interrupting(Rogue):
    def check(self):
        raise KeyboardInterrupt


class Cancelling(Rogue):
    async def check(self):
        raise asyncio.CancelledError


class CallbackExiting(Healing):
    async def check(self):
        asyncio.get_running_loop().call_soon(self.leave)
        await asyncio.sleep(0.05)
        return Check.healthy()

    def leave(self):
        raise SystemExit(4)


class TaskExiting(Healing):
    async def check(self):
        self.task = asyncio.create_task(self.leave())
        await asyncio.sleep(0.05)
        return Check.healthy()

    async def leave(self):
        raise SystemExit(5)


class Stopping(Healing):
    async def check(self):
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0.01)
        return Check.healthy()


class Forking(Healing):
    async def check(self):
        self.child = os.fork()
        return Check.healthy(child=self.child)


class WrongType(Rogue):
    async def check(self):
        return "fine"


class Huge(Healing):
    async def check(self):
        return Check.healthy("x" * 10_000_000, text="y" * 10_000_000)


class Leaking(Healing):
    tasks: list = []

    async def check(self):
        self.tasks.append(asyncio.create_task(asyncio.sleep(3600)))
        return Check.healthy()


class HostileText(Exception):
    def __str__(self):
        raise RuntimeError("no text for you")


class Unprintable(Rogue):
    async def check(self):
        raise HostileText


class Closing(Healing):
    """Closes what its loop waits with, once."""

    async def check(self):
        if not hasattr(self, "closed"):
            self.closed = True
            asyncio.get_running_loop()._selector.close()
            await asyncio.sleep(0.05)
        return Check.healthy()


class Siblings(Rogue):
    """One probe blocks the loop that the other needs."""

    def probes(self):
        return [
            Probe(name="blocker", run=self.block, timeout=0.2),
            Probe(name="sibling", run=self.check, timeout=0.2),
        ]

    async def block(self):
        time.sleep(3600)  # the call that holds the loop

    async def check(self):
        return Check.healthy()


class Gil(Rogue):
    """Holds the interpreter's lock for seconds in one regular expression."""

    async def check(self):
        return Check.healthy(found=re.match(r"(a+)+$", "a" * 28 + "b") is not None)


class LongFork(Healing):
    """Forks a child that lives on."""

    async def check(self):
        child = os.fork()
        if child == 0:
            time.sleep(20)
            os._exit(0)
        return Check.healthy(child=child)
