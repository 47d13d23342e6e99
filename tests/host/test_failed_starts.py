"""Nothing of a failed start survives until the next attempt."""

import asyncio
from collections.abc import AsyncIterator, Callable
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from aiohttp import web

from aliaport.apps import App
from aliaport.host.context import HostContext
from aliaport.host.discovery import Candidate
from aliaport.host.lifecycle import State
from aliaport.host.plugin_instance import PluginInstance
from aliaport.plugin import Plugin, PluginConfig
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
SOURCES = Sources({}, {}, None, {})


def candidate(group: Any, name: str, loaded: object) -> Candidate:
    entry = EntryPoint(name, f"{bad_lives.__name__}:X", f"aliaport.{group}")
    return Candidate(group, name, entry, name, "0", loaded=loaded)


async def begun(plugin: type[Plugin[Any]], context: HostContext) -> PluginInstance:
    instance = PluginInstance(candidate("plugins", context.plugin, plugin), context.log, LIMITS)
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
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'aliaport-litters'"
    await until(lambda: server.sql(count) == "1", "only the last attempt's session is left")
    await instance.stop()
    await until(lambda: server.sql(count) == "0", "no session is left")


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
