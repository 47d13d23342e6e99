"""A plugin's event loop: it can cancel the timers that one attempt to start has set."""

import asyncio
import itertools
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import TypeVarTuple
from weakref import WeakValueDictionary

from aliaport.process.resolver import ResolvingLoop

ArgumentsT = TypeVarTuple("ArgumentsT")


class Timers:
    """The timers that one attempt to start sets: itself, its tasks, and earlier timers of it.

    Those that asyncio sets are not among them: they only wake or end a task, which is cancelled.
    """

    def __init__(self) -> None:
        self._handles: WeakValueDictionary[int, asyncio.TimerHandle] = WeakValueDictionary()
        self._numbers = itertools.count()
        self._kept = False
        self._cancelled = False

    def begin(self) -> None:
        """Record the timers that are set in the current context from now on."""
        _current.set(self)

    def keep(self) -> None:
        """Stop recording: the attempt succeeded."""
        self._kept = True

    def cancel(self) -> None:
        """Cancel the timers, and each that the attempt still sets; call it on the loop."""
        self._cancelled = True
        for handle in list(self._handles.values()):
            handle.cancel()

    def add(self, handle: asyncio.TimerHandle) -> None:
        """Record a timer; called by the loop."""
        if self._cancelled:
            handle.cancel()
        elif not self._kept:
            self._handles[next(self._numbers)] = handle


_current: ContextVar[Timers | None] = ContextVar("timers", default=None)


class PluginLoop(ResolvingLoop):
    """The event loop of a bulkhead."""

    def call_at(
        self,
        when: float,
        callback: Callable[[*ArgumentsT], object],
        *args: *ArgumentsT,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Set a timer, as every loop does; `call_later` ends here too."""
        handle = super().call_at(when, callback, *args, context=context)
        timers = _current.get()
        if timers is not None and not _is_of_asyncio(callback):
            timers.add(handle)
        return handle


def _is_of_asyncio(callback: Callable[..., object]) -> bool:
    module = getattr(callback, "__module__", None)
    return isinstance(module, str) and module.partition(".")[0] in ("asyncio", "_asyncio")
