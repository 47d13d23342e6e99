"""Callers of the same moment share one rendering, and nobody gets an older one."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from aliaport.host.host import Host
from aliaport.host.limits import LimitLog
from aliaport.host.scrape import Metrics, declare_host_families
from aliaport.logs import RequestLog
from aliaport.metrics.http import HttpMetrics
from aliaport.metrics.registry import MetricRegistry
from aliaport.settings import core_settings, read_sources
from aliaport.testing import make_context
from aliaport.web import crowds
from aliaport.web.application import make_app
from aliaport.web.auth import OperatorAuth
from aliaport.web.crowds import Crowds
from aliaport.web.state import AppState
from tests.support.distributions import install
from tests.support.service import ROGUES
from tests.support.waiting import eventually

CALLERS = 100
ENVIRON = {
    "ENVIRONMENT": "test",
    "ALIAPORT_SELECTION__ALLOW": "gated",
    "ALIAPORT_READY_TIMEOUT": "50",
    "ALIAPORT_STATUS_TIMEOUT": "50",
}


class Page:
    """A view whose results are gathered when `gate` is set, and which counts its renderings."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.waited: list[float] = []
        self.callers: list[int] = []
        self.rendered = 0
        self.fails = False

    @property
    def gathered(self) -> int:
        return len(self.waited)

    def has_gathered(self, times: int) -> Callable[[], Awaitable[bool]]:
        async def look() -> bool:
            return self.gathered == times

        return look

    async def gather(self, waited: float, callers: int) -> int:
        self.waited.append(waited)
        self.callers.append(callers)
        number = self.gathered
        await self.gate.wait()
        return number

    async def render(self, gathered: int) -> str:
        self.rendered += 1
        number = self.rendered
        await asyncio.sleep(0)
        if self.fails:
            raise RuntimeError(f"rendering {number}")
        return f"page {gathered}"


class ViewKey:
    """The key of a view, which a weak reference can follow."""


class CountingCrowds(Crowds):
    """Crowds that count their callers and what is rendered for them."""

    def __init__(self) -> None:
        super().__init__()
        self.callers = 0
        self.rendered = 0

    async def join(
        self,
        view: Hashable,
        gather: Callable[[float, int], Awaitable[Any]],
        render: Callable[[Any], Awaitable[Any]],
    ) -> Any:
        async def counted(gathered: Any) -> Any:
            self.rendered += 1
            return await render(gathered)

        self.callers += 1
        return await super().join(view, gather, counted)

    async def has_five(self) -> bool:
        return self.callers == 5


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let groups wait for each other, however busy the machine is."""
    monkeypatch.setattr(crowds, "MAX_PAUSE", 600)


async def call(together: Crowds, page: Page, *views: Hashable) -> "list[asyncio.Task[str]]":
    """Start a caller of each view, and return when all of them wait."""
    callers = [asyncio.create_task(together.join(view, page.gather, page.render)) for view in views]
    await asyncio.sleep(0)
    return callers


async def test_those_who_call_during_a_rendering_share_the_next_one() -> None:
    together, page = Crowds(), Page()
    first, *callers = await call(together, page, *["/status"] * CALLERS)
    other, *others = await call(together, page, *["/status?verbose"] * CALLERS)
    assert page.gathered == 2, "the runs for a group must not begin before its callers came"
    page.gate.set()
    assert {await first, await other} == {"page 1", "page 2"}
    assert len(set(await asyncio.gather(*callers))) == 1
    assert len(set(await asyncio.gather(*others))) == 1
    assert page.callers == [1, 1, CALLERS - 1, CALLERS - 1]
    assert page.rendered == 4


async def test_who_comes_after_the_results_gets_new_ones() -> None:
    together, page = Crowds(), Page()
    page.gate.set()
    late: list[asyncio.Task[str]] = []

    async def render(gathered: int) -> str:
        if not late:
            late.extend(await call(together, page, "/metrics"))
        return await page.render(gathered)

    assert await together.join("/metrics", page.gather, render) == "page 1"
    assert await late[0] == "page 2"


async def test_a_group_does_not_wait_for_slow_results(monkeypatch: pytest.MonkeyPatch) -> None:
    pause = 0.05
    monkeypatch.setattr(crowds, "MAX_PAUSE", pause)
    together, page = Crowds(), Page()
    callers = await call(together, page, *["/ready"] * 3)
    await eventually(page.has_gathered(2), "the second group begins")
    late = await call(together, page, "/ready")
    await eventually(page.has_gathered(3), "the third group begins")
    assert page.waited[0] < page.waited[1]
    assert page.waited[1] >= pause * 0.9, "the time that the callers waited is not reported"
    page.gate.set()
    assert await asyncio.gather(*callers, *late) == ["page 1", "page 2", "page 2", "page 3"]


async def test_other_requests_have_turns_while_a_crowd_gets_its_page() -> None:
    together, page = Crowds(), Page()
    _, *callers = await call(together, page, *["/status"] * CALLERS)
    page.gate.set()
    ready: set[int] = set()
    while len(ready) < len(callers):
        await asyncio.sleep(0)
        ready.add(sum(caller.done() for caller in callers))
        if len(callers) in ready:
            break
    assert len(ready) > CALLERS // crowds.WOKEN_AT_ONCE, f"woken together: {sorted(ready)}"


async def test_a_failure_of_the_first_caller_is_not_shared() -> None:
    together, page = Crowds(), Page()
    callers = await call(together, page, *["/status"] * 4)
    page.fails = True
    page.gate.set()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert sorted(map(str, outcomes)) == [f"rendering {number}" for number in (1, 2, 3, 4)]
    page.fails = False
    (next_one,) = await call(together, page, "/status")
    assert await next_one == "page 5"


@pytest.mark.parametrize("cancelled", range(3), ids=["running", "first of the next", "joined"])
async def test_a_caller_that_leaves_takes_nobody_along(cancelled: int) -> None:
    together, page = Crowds(), Page()
    callers = await call(together, page, *["/status"] * 4)
    callers[cancelled].cancel()
    await asyncio.sleep(0)
    page.gate.set()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(outcomes.pop(cancelled), asyncio.CancelledError)
    assert all(isinstance(outcome, str) for outcome in outcomes), outcomes


async def test_a_view_without_callers_is_forgotten() -> None:
    together, page, view = Crowds(), Page(), ViewKey()
    forgotten = weakref.ref(view)
    callers = await call(together, page, *[view] * 3)
    del view
    page.gate.set()
    await asyncio.gather(*callers)
    del callers
    await asyncio.sleep(0)
    gc.collect()
    assert forgotten() is None


@pytest.fixture
async def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Host]:
    """Run a host whose plugin's probe and collector wait for the file `open`."""
    install(tmp_path / "site", "gate", {"gated": "aliaport_rogues.good:GatedScrape"})
    monkeypatch.syspath_prepend(ROGUES)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.chdir(tmp_path)
    sources, context = read_sources(ENVIRON), make_context()
    settings = core_settings(sources)
    registry = MetricRegistry(settings.metrics.max_series_per_family)
    declare_host_families(registry)
    host = Host(settings, sources, registry, lambda _: context.log, lambda _: context.audit)
    assert await host.load() == []
    assert await host.construct(None) == []
    await host.start()
    yield host
    await host.stop()


def state_of(host: Host, crowds: Crowds) -> AppState:
    """Return the state of a service that has nothing but plugins."""
    settings, log = core_settings(read_sources(ENVIRON)), make_context().log
    http, limits = HttpMetrics(), LimitLog(log)
    return AppState(
        settings=settings,
        host=host,
        metrics=Metrics(
            host,
            http,
            settings.metrics,
            loop_lag=lambda: 0.0,
            log_samples=dict,
            app_states=dict,
            limits=limits,
            connections=dict,
        ),
        http=http,
        auth=OperatorAuth(settings, log),
        log=log,
        requests=RequestLog(lambda _entry: None),
        apps=(),
        limits=limits,
        crowds=crowds,
    )


async def test_the_endpoints_serve_crowds(host: Host, tmp_path: Path) -> None:
    """With one host for all of them: to find the plugins takes a quarter of a second."""
    for path, shown in (
        ("/ready?include=gated", '"status":"ready"'),
        ("/status", '"runs":4'),
        ("/status/gated", '"runs":6'),
        ("/metrics", "aliaport_gated_open 1.0"),
    ):
        (tmp_path / "open").unlink(missing_ok=True)
        together = CountingCrowds()
        app = make_app(state_of(host, together), detailed=True)
        async with TestClient(TestServer(app, host="127.0.0.1")) as client:
            callers = [asyncio.create_task(client.get(path)) for _ in range(5)]
            await eventually(together.has_five, f"all callers of {path} wait")
            (tmp_path / "open").touch()
            responses = [await caller for caller in callers]
            assert [response.status for response in responses] == [200] * 5, path
            pages = [await response.text() for response in responses]
        assert together.rendered == 2, path
        assert shown in pages[-1]
        assert len(set(pages)) <= 2, path
