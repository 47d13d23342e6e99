"""Nothing of a failed start survives until the next attempt."""

import asyncio
import functools
import socket
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import EntryPoint
from typing import Any, ClassVar

import pytest
from aiohttp import web

from aliaport.apps import App
from aliaport.host.context import HostContext
from aliaport.host.discovery import Candidate
from aliaport.host.lifecycle import State
from aliaport.host.plugin_instance import PluginInstance
from aliaport.isolation.threads_left import ThreadsLeft
from aliaport.plugin import Context, Plugin, PluginConfig
from aliaport.postgres import Leader, Pool, ReconnectingConnection, connect
from aliaport.postgres.forgotten import terminate_forgotten
from aliaport.settings import PluginLimits, Sources
from aliaport.testing import make_context
from aliaport.testing.runner import _logger
from aliaport.web.mounts import MountedApp
from tests.rogues.aliaport_rogues import bad_lives
from tests.support.postgres import TcpPostgres
from tests.support.waiting import wait_until

LIMITS = PluginLimits(
    first_retry=0.05, max_retry=0.05, start_timeout=60, stop_timeout=20, stop_all_timeout=20
)
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'aliaport-{}'"
SOURCES = Sources({}, {}, None, {})


def candidate(group: Any, name: str, loaded: object) -> Candidate:
    entry = EntryPoint(name, f"{bad_lives.__name__}:X", f"aliaport.{group}")
    return Candidate(group, name, entry, name, "0", loaded=loaded)


async def begun(plugin: type[Plugin[Any]], context: HostContext, **limits: float) -> PluginInstance:
    instance = PluginInstance(
        candidate("plugins", context.plugin, plugin),
        context.log,
        LIMITS.model_copy(update=limits),
    )
    await instance.load()
    await instance.configure(SOURCES)
    await instance.construct(context, context.registry, {})
    instance.begin()
    return instance


async def until(condition: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(wait_until, condition, what)


def events(logged: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [event for event in logged if event["event"] == name]


async def test_each_attempt_begins_without_the_connections_and_tasks_of_the_last(
    server: TcpPostgres,
) -> None:
    context = make_context("litters", database_url=server.dsn())
    instance = await begun(bad_lives.Litters, context)
    await until(lambda: instance.state is State.RUNNING, "the fourth start succeeds")
    assert bad_lives.Litters.attempts == 4
    assert [task.done() for task in bad_lives.Litters.tasks] == [True, True, True, False]
    count = SESSIONS.format("litters")
    await until(lambda: server.sql(count) == "1", "only the last attempt's session is left")
    await instance.stop()
    await until(lambda: server.sql(count) == "0", "no session is left")


class Opens(Plugin[PluginConfig]):
    """Opens connections in every way, fails to start three times, and never closes one."""

    api = (1, 0)
    attempts = 0
    sessions: list[Any] = []

    def __init__(self, config: PluginConfig, context: Context) -> None:
        super().__init__(config, context)
        self.kept = Pool(context, component="opens", size=2)
        self.connection = ReconnectingConnection(
            context, component="opens", connect_timeout=60, query_timeout=60
        )

    async def start(self) -> None:
        type(self).attempts += 1
        self.pool = Pool(self.context, component="opens", size=2)
        self.leader = Leader(self.context, name="opens", component="opens")
        await asyncio.gather(self.kept.start(), self.pool.start())
        async with self.kept.acquire(60) as connection:
            await connection.execute("SELECT 1")
        await self.connection.fetch("SELECT 1")
        self.sessions.append(await connect(self.context, component="opens", timeout=60))
        await self.leader.holds(60)
        if self.attempts < 4:
            raise ConnectionRefusedError("not yet")


class OpensAndHangs(Opens):
    attempts = 0

    async def stop(self) -> None:
        await asyncio.sleep(3600)


class OpensAndRaises(Opens):
    attempts = 0

    async def stop(self) -> None:
        raise LookupError("nothing to stop")


@pytest.mark.parametrize("plugin", [Opens, OpensAndHangs, OpensAndRaises])
async def test_connections_that_a_failed_start_leaves_open_are_terminated(
    server: TcpPostgres, plugin: type[Opens]
) -> None:
    context = make_context("opens", database_url=server.dsn())
    instance = await begun(plugin, context, stop_timeout=0.2)
    await until(lambda: instance.state is State.RUNNING, "the fourth start succeeds")
    assert plugin.attempts == 4
    count = SESSIONS.format("opens")
    await until(lambda: server.sql(count) == "5", "only the last attempt's sessions are left")
    await instance.stop()
    await until(lambda: server.sql(count) == "0", "no session is left")


class Connects(Plugin[PluginConfig]):
    """Connects at its start, without patience."""

    api = (1, 0)
    attempts = 0

    def __init__(self, config: PluginConfig, context: Context) -> None:
        super().__init__(config, context)
        self.connection = ReconnectingConnection(
            context, component="connects", connect_timeout=0.001, query_timeout=60
        )

    async def start(self) -> None:
        type(self).attempts += 1
        await self.connection.fetch("SELECT 1")


async def test_connecting_that_a_failed_start_left_does_not_fail_the_next() -> None:
    logged: list[dict[str, Any]] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://somebody@127.0.0.1:{silent.getsockname()[1]}/somewhere"
        context = make_context("connects", database_url=url, log=_logger(logged))
        instance = await begun(Connects, context, first_retry=0.001, max_retry=0.001)
        await until(lambda: Connects.attempts >= 4, "it is started again and again")
        await instance.stop()
    reasons = [event["reason"] for event in events(logged, "plugin.start_failed")]
    assert reasons
    assert all(reason.startswith("ConnectPending: ") for reason in reasons), reasons


class CleansUpSlowly(Plugin[PluginConfig]):
    api = (1, 0)
    stopping = threading.Event()

    async def start(self) -> None:
        raise ConnectionRefusedError("not yet")

    async def stop(self) -> None:
        self.stopping.set()
        await asyncio.sleep(0.2)


async def test_the_end_may_come_while_a_failed_start_is_cleaned_up() -> None:
    instance = await begun(CleansUpSlowly, make_context("slow"))
    await until(CleansUpSlowly.stopping.is_set, "the plugin cleans up")
    await instance.stop()
    assert instance.state is State.STOPPED


async def test_connections_of_one_context_are_terminated_without_those_of_another(
    server: TcpPostgres,
) -> None:
    mine = make_context("mine", database_url=server.dsn())
    other = make_context("other", database_url=server.dsn())
    pools = [Pool(context, component=context.plugin) for context in (mine, other)]
    for pool in pools:
        await pool.start()
    terminate_forgotten(mine)
    terminate_forgotten(mine)
    await until(lambda: server.sql(SESSIONS.format("mine")) == "0", "the session is closed")
    async with pools[1].acquire(60) as connection:
        assert await connection.fetchval("SELECT 1") == 1
    with pytest.raises(RuntimeError, match="not started"):
        async with pools[0].acquire():
            pass
    await pools[0].start()
    async with pools[0].acquire(60) as connection:
        assert await connection.fetchval("SELECT 1") == 1
    for pool in pools:
        await pool.stop()


@pytest.mark.parametrize("hangs", [False, True])
async def test_an_application_s_connections_are_terminated(
    server: TcpPostgres, hangs: bool
) -> None:
    context = make_context("spills", database_url=server.dsn())
    attempts: list[Pool] = []

    async def spill(_app: web.Application) -> AsyncIterator[None]:
        attempts.append(Pool(context, component="spills"))
        await attempts[-1].start()
        if len(attempts) < 4 and hangs:
            await asyncio.sleep(3600)
        if len(attempts) < 4:
            raise ConnectionRefusedError("not yet")
        yield

    def create(_context: Context, _options: PluginConfig) -> web.Application:
        app = web.Application()
        app.cleanup_ctx.append(spill)
        return app

    app = MountedApp(
        candidate("apps", "spills", App(prefix="/spills", create=create)),
        context.log,
        LIMITS.model_copy(update={"start_timeout": 1.0}) if hangs else LIMITS,
    )
    assert await app.load(SOURCES) == ()
    app.begin(context, lambda *_: None)
    await until(lambda: app.state is State.RUNNING, "the fourth start succeeds")
    count = SESSIONS.format("spills")
    await until(lambda: server.sql(count) == "1", "only the last attempt's session is left")
    await app.stop()
    await until(lambda: server.sql(count) == "0", "no session is left")


class Ticks(Plugin[PluginConfig]):
    """Sets timers that set themselves again, and fails to start three times."""

    api = (1, 0)
    made: ClassVar[list["Ticks"]] = []

    def __init__(self, config: PluginConfig, context: Context) -> None:
        super().__init__(config, context)
        self.made.append(self)
        self.attempts = 0
        self.ticks: list[object] = []
        self.woken = False
        asyncio.get_running_loop().call_later(0, self.tick, "constructor")

    async def start(self) -> None:
        self.attempts += 1
        loop = asyncio.get_running_loop()
        loop.call_later(0, self.tick, self.attempts)
        loop.call_at(loop.time(), functools.partial(self.tick, self.attempts))
        loop.call_soon(self.tick_late, self.attempts)
        self.task = asyncio.create_task(self.tick_in_task(self.attempts))
        await asyncio.sleep(0.02)
        if self.attempts < 4:
            raise ConnectionRefusedError("not yet")

    def tick(self, attempt: object) -> None:
        self.ticks.append(attempt)
        asyncio.get_running_loop().call_later(0.001, self.tick, attempt)

    def tick_late(self, attempt: object) -> None:
        asyncio.get_running_loop().call_later(0.001, self.tick_late, attempt)
        self.ticks.append(attempt)

    async def tick_in_task(self, attempt: int) -> None:
        asyncio.get_running_loop().call_later(0.001, self.tick, attempt)
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.01)  # cleaning up may take its time
            self.woken = True


async def test_timers_of_a_failed_start_are_cancelled() -> None:
    instance = await begun(Ticks, make_context("ticks"))
    await until(lambda: instance.state is State.RUNNING, "the fourth start succeeds")
    (plugin,) = Ticks.made
    plugin.ticks.clear()
    await until(lambda: len(plugin.ticks) > 100, "the timers of the last start go on")
    assert set(plugin.ticks) == {"constructor", 4}
    assert plugin.woken, "the timers that wake cancelled tasks are not cancelled"
    await instance.stop()


class Threads(Plugin[PluginConfig]):
    """Starts a thread that does not end, and fails to start."""

    api = (1, 0)
    made: ClassVar[list["Threads"]] = []

    def __init__(self, config: PluginConfig, context: Context) -> None:
        super().__init__(config, context)
        self.made.append(self)
        self.attempts = 0
        self.end = threading.Event()

    async def start(self) -> None:
        self.attempts += 1
        if self.end.is_set():
            return
        # The loop's own thread for names is reused: it is not a thread that is left.
        await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 1)
        self.wait()
        raise ConnectionRefusedError("not yet")

    def wait(self) -> None:
        ThreadPoolExecutor(1, thread_name_prefix="waits").submit(self.end.wait)


class FewThreads(Threads):
    """Starts no thread of its own."""

    made: ClassVar[list[Threads]] = []

    def wait(self) -> None:
        if self.attempts > 30:
            self.end.set()


async def test_a_plugin_whose_starts_leave_threads_is_not_started_without_limit() -> None:
    logged: list[dict[str, Any]] = []
    context = make_context("threads", log=_logger(logged))
    instance = await begun(Threads, context, first_retry=0.001, max_retry=0.001)
    await until(lambda: "next start waits" in instance.problem, "there are too many threads")
    (plugin,) = Threads.made
    assert plugin.attempts == 20
    (left,) = events(logged, "plugin.threads_left")
    assert left["reason"] == "3 threads of failed starts still run"
    assert left["threads"] == ["waits_0"] * 3
    plugin.end.set()
    await until(lambda: instance.state is State.RUNNING, "it is started once they have ended")
    await instance.stop()


async def test_threads_of_the_event_loop_and_of_another_plugin_are_not_counted() -> None:
    logged: list[dict[str, Any]] = []
    context = make_context("few", log=_logger(logged))
    few = await begun(FewThreads, context, first_retry=0.001, max_retry=0.001)
    await until(lambda: few.state is State.RUNNING, "it starts in the end")
    assert events(logged, "plugin.threads_left") == []
    await few.stop()
    first, second = ThreadsLeft(), ThreadsLeft()
    end = threading.Event()
    first.begin()
    second.begin()
    threading.Thread(target=end.wait).start()
    second.end(failed=True)
    first.end(failed=True)
    assert (first.alive(), second.alive()) == ([], [])
    end.set()


async def test_a_task_that_cannot_be_cancelled_is_reported_and_the_start_is_retried() -> None:
    logged: list[dict[str, Any]] = []
    context = make_context("clings", log=_logger(logged))
    instance = await begun(bad_lives.Clings, context)
    await until(lambda: instance.state is State.RUNNING, "the third start succeeds")
    (left,) = events(logged, "plugin.tasks_left")
    assert "the line that clings" in left["where"], "once, although two attempts left one"
    (stopped,) = events(logged, "plugin.stop_failed")
    assert "nothing to stop" in stopped["reason"], "once, although it failed twice"
    await instance.stop()


class Halls:
    """An application whose second resource fails or hangs at the first attempt."""

    def __init__(self, *, hangs: bool) -> None:
        self.hangs = hangs
        self.opened = self.closed = 0

    def create(self, _context: Any, _options: PluginConfig) -> web.Application:
        app = web.Application()
        app.cleanup_ctx.extend((self.first, self.second))
        return app

    async def first(self, _app: web.Application) -> AsyncIterator[None]:
        self.opened += 1
        yield
        self.closed += 1
        if self.closed == 1:
            raise LookupError("cannot be closed")

    async def second(self, _app: web.Application) -> AsyncIterator[None]:
        if self.opened < 3 and self.hangs:
            await asyncio.sleep(3600)
        if self.opened < 3:
            raise ConnectionRefusedError("not yet")
        yield


async def test_an_application_that_is_stopped_while_it_starts_releases_what_it_acquired() -> None:
    halls = Halls(hangs=True)
    context = make_context("halls")
    loaded = App(prefix="/halls", create=halls.create)
    app = MountedApp(candidate("apps", "halls", loaded), context.log, LIMITS)
    assert await app.load(SOURCES) == ()
    before = asyncio.all_tasks()
    app.begin(context, lambda *_: None)
    while not halls.opened:
        await asyncio.sleep(0)
    await app.stop()
    assert (halls.opened, halls.closed) == (1, 1)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("hangs", [False, True])
async def test_an_application_releases_what_a_failed_start_acquired(hangs: bool) -> None:
    halls, logged = Halls(hangs=hangs), list[dict[str, Any]]()
    context = make_context("halls", log=_logger(logged))
    app = MountedApp(
        candidate("apps", "halls", App(prefix="/halls", create=halls.create)),
        context.log,
        LIMITS.model_copy(update={"start_timeout": 0.2}) if hangs else LIMITS,
    )
    assert await app.load(SOURCES) == ()
    app.begin(context, lambda *_: None)
    while app.state is not State.RUNNING:
        await asyncio.sleep(0.01)
    assert (halls.opened, halls.closed) == (3, 2)
    (failed,) = events(logged, "app.stop_failed")
    assert failed["reason"].startswith("LookupError: cannot be closed")
    await app.stop()
    assert halls.closed == 3
