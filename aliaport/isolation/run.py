"""A call in flight: from submission to outcome, with its deadline and its position in the code."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aliaport.isolation.failures import Failure
from aliaport.isolation.positions import task_position, thread_position

if TYPE_CHECKING:
    from aliaport.isolation.bulkhead import Bulkhead


class Run:
    """One call in flight inside a bulkhead, as the HTTP loop sees it.

    `done` resolves when the call has ended or its deadline has passed, whichever comes first.
    `value` or `failure` is stored by the plugin's thread before it wakes the HTTP loop, so
    `finished` is correct even while that loop lags. `settled` belongs to the code that started the
    run: it keeps the outcome there for all callers that joined.
    """

    __slots__ = (
        "_expiry",
        "_finish_hooks",
        "_loop",
        "_postpone",
        "began",
        "bulkhead",
        "done",
        "ended",
        "expired",
        "expired_where",
        "failure",
        "finished",
        "in_slot",
        "settled",
        "submitted",
        "task",
        "thread",
        "value",
    )

    def __init__(self, bulkhead: "Bulkhead", loop: asyncio.AbstractEventLoop) -> None:
        self.bulkhead = bulkhead
        self._loop = loop
        self.done: asyncio.Future[None] = loop.create_future()
        self.submitted = time.monotonic()
        self.began: float | None = None
        self.ended: float | None = None
        self.value: Any = None
        self.failure: Failure | None = None
        self.finished = False
        self.in_slot = False
        self.settled: object = None
        self.expired = False
        self.expired_where = ""
        self.task: asyncio.Task[None] | None = None
        self.thread: int | None = None
        self._finish_hooks: list[Callable[[], None]] = []
        self._expiry: asyncio.TimerHandle | None = None
        self._postpone: Callable[[], bool] | None = None

    @property
    def completed(self) -> bool:
        """True if the call ran to its end: neither dropped before it began nor expired."""
        if self.failure is not None:
            return self.finished and not self.expired
        return self.finished and self.began is not None

    def expire_after(self, seconds: float, postpone: Callable[[], bool] | None = None) -> None:
        """Stop waiting after `seconds`, and cancel the call if it is a task.

        `postpone` is then called on the HTTP loop; True grants the same time again.
        """
        self._postpone = postpone
        self._expiry = self._loop.call_later(seconds, self._expire, seconds)

    def on_finish(self, hook: Callable[[], None]) -> None:
        """Call `hook` on the HTTP loop when the call has really ended, however late."""
        if self.finished and self.done.done():
            self._loop.call_soon(hook)
        else:
            self._finish_hooks.append(hook)

    async def wait(self) -> None:
        """Wait until `done`; unlike awaiting that, others still can if this is cancelled."""
        await asyncio.shield(self.done)

    async def wait_finished(self) -> None:
        """Wait, without any deadline, until the call has really ended."""
        ended = asyncio.Event()
        self.on_finish(ended.set)
        await ended.wait()

    def where(self) -> str:
        """Return the current line of plugin code of the call, or of what blocks it, or ''."""
        package = self.bulkhead.package
        if self.finished:
            return self.failure.where if self.failure else ""
        if self.task is not None and self.began is not None:
            return task_position(self.task, self.thread, package)
        return thread_position(self.thread or self.bulkhead.thread_id, package)

    def _expire(self, seconds: float) -> None:
        if self.finished:
            return
        if self._postpone is not None and self._postpone():
            self._expiry = self._loop.call_later(seconds, self._expire, seconds)
            return
        self.expired = True
        # Capture the position before cancelling: a cooperative call moves on a moment later.
        self.expired_where = self.where()
        if self.task is not None:
            self.bulkhead.call_soon(self.task.cancel)
        self._resolve()

    def finish(self, value: Any, failure: Failure | None) -> None:
        """Store the outcome and wake the HTTP loop; called in the plugin's thread.

        Only the first call counts: the task of a run whose loop was replaced ends again, later.
        """
        self.bulkhead.leave_forked_child()
        if self.finished:
            return
        self.bulkhead.unfinished.discard(self)
        self.value, self.failure = value, failure
        self.ended = time.monotonic()
        self.finished = True
        try:
            self._loop.call_soon_threadsafe(self._settle)
        except RuntimeError:  # the HTTP loop is closed: nothing is left to notify
            return

    def _settle(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        self.task = None
        self._resolve()
        hooks, self._finish_hooks = self._finish_hooks, []
        for hook in hooks:
            hook()

    def _resolve(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
