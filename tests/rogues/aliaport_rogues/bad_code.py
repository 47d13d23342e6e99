"""Probes whose code, awaitables and exceptions harm whoever names their line or prints them."""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from aliaport.plugin import Check

from .bad_probes import Healing, Rogue


def function_in(file: str, body: str, **scope: Any) -> Any:
    """Return a function of this plugin that pretends to be in the third line of `file`."""
    names = {"__name__": __name__, "time": time, **scope}
    exec(compile(f"def run():\n\n    {body}", "<made>", "exec"), names)
    run = names["run"]
    run.__code__ = run.__code__.replace(co_filename=file)
    return run


def fifo() -> str:
    path = Path(tempfile.mkdtemp()) / "pipe.py"
    os.mkfifo(path)
    return str(path)


class FifoOnLoop(Rogue):
    async def check(self) -> None:
        function_in(fifo(), "time.sleep(3600)")()


class FifoInThread(Rogue):
    def check(self) -> None:
        function_in(fifo(), "time.sleep(3600)")()


class FifoRaising(Healing):
    def check(self) -> None:
        function_in(fifo(), "raise ValueError('from a pipe')")()


class EndlessFile(Healing):
    async def check(self) -> None:
        function_in("/dev/zero", "raise ValueError('from a device')")()


class NotUtf8(Rogue):
    async def check(self) -> None:
        function_in("\ud800\n.py", "time.sleep(3600)")()


class NotUtf8Raising(Healing):
    async def check(self) -> None:
        function_in("\ud800\n.py", r"raise ValueError('\ud800')")()


class LongNames(Rogue):
    async def check(self) -> None:
        run = function_in("/" + "x" * 5_000_000, "time.sleep(3600)")
        run.__code__ = run.__code__.replace(co_name="y" * 5_000_000)
        run()


class Slow:
    """Blocks whoever uses it as text."""

    def __str__(self) -> str:
        time.sleep(3600)
        return ""


class SlowModuleName(Rogue):
    async def check(self) -> None:
        function_in("slow.py", "time.sleep(3600)", __name__=Slow())()


class Itself:
    """An awaitable that waits for itself, and is never done."""

    cr_await = gi_yieldfrom = ag_await = property(lambda self: self)
    cr_frame = cr_running = gi_frame = None

    def __await__(self) -> Any:
        return self

    __iter__ = __await__

    def __next__(self) -> None:
        return None

    def send(self, _value: object) -> None:
        time.sleep(0.01)


class AwaitsItself(Rogue):
    async def check(self) -> Check:
        await Itself()
        return Check.healthy()


def leave(*_args: object) -> Any:
    raise SystemExit(7)


class HostileMeta(type):
    __getattribute__ = leave


class HostileError(Exception, metaclass=HostileMeta):
    __cause__ = __context__ = __traceback__ = __notes__ = property(leave)


class Endless(Exception):
    __cause__ = property(lambda _error: Endless())


def odd_syntax_error() -> SyntaxError:
    details: Any = (5, "x", "y", {}, -1, "q")
    return SyntaxError("s", details)


class OddSyntaxError(Healing):
    async def check(self) -> Check:
        raise odd_syntax_error()


class OddSyntaxErrorInThread(Healing):
    def check(self) -> Check:
        raise odd_syntax_error()


class HostileRaising(Healing):
    async def check(self) -> Check:
        raise HostileError


class HostileRaisingInThread(Healing):
    def check(self) -> Check:
        raise HostileError


class EndlessCauses(Healing):
    def check(self) -> Check:
        raise Endless
