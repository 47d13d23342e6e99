"""One plugin's bulkhead: a daemon thread with an event loop, and a thread for each blocking call.

The HTTP loop submits a call and gets a `Run`. Whatever the call does, it never blocks the HTTP loop
and returns only plain values. The bulkhead survives what its plugin does to its thread and loop.
"""

import asyncio
import contextlib
import contextvars
import inspect
import os
import queue
import selectors
import socket
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from aliaport.isolation.failures import MESSAGE_LIMIT, Failure, describe
from aliaport.isolation.plugin_loop import PluginLoop
from aliaport.isolation.run import Run
from aliaport.redaction import shorten

MAX_TASKS = 1_000
"""Maximum number of live tasks per plugin; `create_task` raises RuntimeError beyond it."""

_INTERRUPTED: Failure | None = Failure(
    "RuntimeError", "an exception interrupted the report of another one", "", ""
)

_DAMAGED = Failure(
    "RuntimeError", "the plugin closed or damaged its own event loop, which was replaced", "", ""
)

_FROM_CALLBACKS = (SystemExit, KeyboardInterrupt, MemoryError)

Freeze = Callable[[Any], Any]
Notify = Callable[[str, Failure], None]


class Bulkhead:
    """The thread and loop of one plugin. Create and use it on the HTTP loop only.

    `package` is the plugin's top-level package, which distinguishes its lines from a library's.
    `notify(event, failure)` is called in the plugin's thread for faults that no run can report: an
    exception that escaped the loop, a task or callback that raised, the task limit.
    """

    def __init__(self, name: str, package: str, notify: Notify) -> None:
        self.name = name
        self.package = package
        self.tasks = 0
        self.unfinished: set[Run] = set()
        self._notify = notify
        self._pid = os.getpid()
        self._host_loop = asyncio.get_running_loop()
        self._closing = False
        self._slots: dict[str, queue.SimpleQueue[Callable[[], None] | None]] = {}
        self._breaker: socket.socket | None = None
        self._loop = self._new_loop()
        _alive.add(self)
        self._thread = threading.Thread(target=self._main, name=f"plugin-{name}", daemon=True)
        self._thread.start()

    @property
    def thread_id(self) -> int | None:
        """The identity of the loop's thread."""
        return self._thread.ident

    def prepare(self, function: Callable[[], Any], slot: str) -> str | None:
        """Return `slot` if the function needs that thread, as all but `async def` do.

        Starts the thread, while one can be started. If none can, `submit` tries again, so only this
        function is affected.
        """
        if inspect.iscoroutinefunction(function):
            return None
        with contextlib.suppress(RuntimeError):
            self._slot(slot)
        return slot

    def submit(
        self,
        function: Callable[[], Any],
        *,
        timeout: float,
        freeze: Freeze,
        slot: str | None = None,
        postpone: Callable[[], bool] | None = None,
    ) -> Run:
        """Start `function` in the plugin and return its run, which expires after `timeout` seconds.

        `postpone` may grant that time again; see `Run.expire_after`.

        It runs on the plugin's loop, or in the thread that `prepare` named for it. `freeze` turns
        the result into plain values, in the plugin's thread; if it raises, the run fails.
        """
        run = Run(self, self._host_loop)
        run.expire_after(timeout, postpone)
        self.unfinished.add(run)
        if slot is None:
            self.call_soon(self._begin, run, function, freeze)
        else:
            run.in_slot = True
            try:
                # The thread serves many callers. Each call runs in its caller's context, as calls
                # on the loop do, so that its log lines name the request that caused it.
                context = contextvars.copy_context()
                self._slot(slot).put(lambda: context.run(self._run_blocking, run, function, freeze))
            except RuntimeError as error:  # the machine is out of threads
                run.finish(None, describe(error, self.package))
        return run

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> None:
        """Run `callback`, which must not raise, on the plugin's loop; never raises.

        If the plugin has closed or damaged the loop, it is replaced, and all runs on it fail.
        """
        try:
            # Called on the class, since a plugin may overwrite methods of its loop.
            PluginLoop.call_soon_threadsafe(self._loop, self._call, callback, *args)
        except BaseException:  # the bulkhead
            self._break_loop()

    def leave_forked_child(self) -> None:
        """Exit if this process is a child that a plugin forked and that runs on into the host."""
        if os.getpid() != self._pid:
            os._exit(0)

    def disable_loop(self) -> None:
        """Make the loop fail in a forked child, so that the child exits.

        Parent and child share one epoll instance: a child that kept running the loop would take the
        parent's events.
        """
        self._selector.close()

    def close(self) -> None:
        """Stop the threads as soon as their calls have ended; never waits."""
        self._closing = True
        self.call_soon(PluginLoop.stop, self._loop)
        for slot in self._slots.values():
            slot.put(None)

    def _call(self, callback: Callable[..., Any], *args: Any) -> None:
        try:
            callback(*args)
        except BaseException:  # the bulkhead: only a damaged loop lets a callback of ours fail
            self._break_loop()
            raise

    def _break_loop(self) -> None:
        """Make the loop fail, even while it waits for events, so that its thread replaces it."""
        if self._breaker is not None or not self._thread.is_alive():
            return
        with contextlib.suppress(Exception):  # the selector may be closed, too: then it has failed
            self._breaker, other = socket.socketpair()
            other.close()
            # The loop cannot handle an event without its data.
            self._selector.register(self._breaker, selectors.EVENT_READ)

    def _begin(self, run: Run, function: Callable[[], Any], freeze: Freeze) -> None:
        if run.finished:  # the loop was replaced when the run was submitted
            return
        # Bypass the task factory: a plugin that has used up its tasks is still probed.
        run.thread = threading.get_ident()
        run.task = asyncio.Task(self._run_on_loop(run, function, freeze), loop=self._loop)
        run.task.add_done_callback(lambda _: self._end_unbegun(run))

    def _end_unbegun(self, run: Run) -> None:
        """Finish a run whose task was cancelled before its first step, as all tasks may be."""
        if not run.finished:
            message = "the plugin cancelled the call before it began"
            run.finish(None, Failure("CancelledError", message, "", ""))

    async def _run_on_loop(self, run: Run, function: Callable[[], Any], freeze: Freeze) -> None:
        if run.expired:
            run.finish(None, None)
            return
        run.began = time.monotonic()
        value, failure = None, _INTERRUPTED
        try:
            result = function()
            value = freeze(await result if inspect.isawaitable(result) else result)
            failure = None
        except BaseException as error:  # the bulkhead: SystemExit and its kind end here too
            failure = describe(error, self.package)
        finally:
            run.finish(value, failure)

    def _slot(self, name: str) -> "queue.SimpleQueue[Callable[[], None] | None]":
        slot = self._slots.get(name)
        if slot is None:
            slot = queue.SimpleQueue()
            threading.Thread(
                target=self._serve_slot,
                args=(slot,),
                name=f"plugin-{self.name}-{name}",
                daemon=True,
            ).start()
            self._slots[name] = slot
        return slot

    def _serve_slot(self, slot: "queue.SimpleQueue[Callable[[], None] | None]") -> None:
        while (call := slot.get()) is not None:
            try:
                call()
            except BaseException as error:  # the bulkhead: some libraries inject one into a thread
                self._notify("plugin.escaped", describe(error, self.package))

    def _run_blocking(self, run: Run, function: Callable[[], Any], freeze: Freeze) -> None:
        if run.expired:
            run.finish(None, None)
            return
        run.thread = threading.get_ident()
        run.began = time.monotonic()
        value, failure = None, _INTERRUPTED
        try:
            result = function()
            if inspect.iscoroutine(result):
                result.close()
                raise TypeError("a plain function returned a coroutine; declare it `async def`")
            value = freeze(result)
            failure = None
        except BaseException as error:  # the bulkhead
            failure = describe(error, self.package)
        finally:
            run.finish(value, failure)

    def _new_loop(self) -> PluginLoop:
        self._selector = selectors.DefaultSelector()
        loop = PluginLoop(self._selector)
        loop.set_task_factory(self._make_task)  # type: ignore[arg-type]  # its options differ by Python
        loop.set_exception_handler(self._report_unhandled)
        return loop

    def _main(self) -> None:
        while not self._closing:
            loop = self._loop
            asyncio.set_event_loop(loop)
            try:
                PluginLoop.run_forever(loop)
            except BaseException as error:  # the bulkhead
                self.leave_forked_child()
                failure = describe(error, self.package) if self._breaker is None else _DAMAGED
                self._notify("plugin.escaped", failure)
                # These come from a task or callback; any other is of a closed or damaged loop.
                if not issubclass(type(error), _FROM_CALLBACKS) and not self._closing:
                    self._replace_loop()
            else:
                if not self._closing:
                    message = "the plugin stopped its own event loop; it was restarted"
                    self._notify("plugin.loop_stopped", Failure("RuntimeError", message, "", ""))
        self._wind_up()

    def _replace_loop(self) -> None:
        damaged, breaker = self._loop, self._breaker
        self._loop = self._new_loop()
        self.tasks = 0
        for run in list(self.unfinished):
            if not run.in_slot:
                run.finish(None, _DAMAGED)
        with contextlib.suppress(BaseException):
            PluginLoop.close(damaged)
        if breaker is not None:
            breaker.close()
            self._breaker = None

    def _wind_up(self) -> None:
        try:
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()
        except BaseException as error:  # the bulkhead: tasks that refuse to end
            self._notify("plugin.escaped", describe(error, self.package))

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> "asyncio.Task[Any]":
        if self.tasks >= MAX_TASKS:
            # Garbage-collected tasks were never subtracted; the tasks of runs do not count.
            runs = {run.task for run in list(self.unfinished)}
            self.tasks = len(asyncio.all_tasks(loop) - runs)
        if self.tasks >= MAX_TASKS:
            coroutine.close()
            error = RuntimeError(
                f"{self.tasks} tasks are alive, the maximum for a plugin; "
                "await or cancel the tasks that you create"
            )
            self._notify("plugin.task_limit", describe(error, self.package))
            raise error
        task = asyncio.Task(coroutine, loop=loop, **options)
        self.tasks += 1
        task.add_done_callback(self._forget_task)
        return task

    def _forget_task(self, _task: "asyncio.Task[Any]") -> None:
        self.tasks -= 1

    def _report_unhandled(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, BaseException):
            failure = describe(error, self.package)
        else:
            failure = Failure("", shorten(str(context.get("message", "")), MESSAGE_LIMIT), "", "")
        self._notify("plugin.unhandled", failure)


_alive: "weakref.WeakSet[Bulkhead]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for bulkhead in list(_alive):
        bulkhead.disable_loop()


os.register_at_fork(after_in_child=_after_fork_in_child)


async def finish_within(awaitable: Awaitable[Any], seconds: float) -> bool:
    """Await trusted work for at most `seconds`, then cancel it; return True if it ended in time."""
    task = asyncio.ensure_future(awaitable)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.cancel()
    return bool(done)
