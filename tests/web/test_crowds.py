"""Callers of the same moment share one rendering, and nobody gets an older one."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable, Hashable
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from aiohttp.test_utils import TestClient, TestServer

from aliaport.contract.declarations import Probe, Status
from aliaport.host import report
from aliaport.host.probes import ProbeResult, ProbeRow
from aliaport.host.report import View
from aliaport.isolation.run import Run
from aliaport.settings import Settings
from aliaport.web import crowds
from aliaport.web.application import make_app
from aliaport.web.crowds import Crowds
from aliaport.web.drain import Drain
from tests.support.waiting import eventually

CALLERS = 100


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
    """Crowds that count their callers."""

    def __init__(self) -> None:
        super().__init__()
        self.callers = 0

    async def join(self, *args: Any) -> Any:
        self.callers += 1
        return await super().join(*args)

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


@pytest.mark.parametrize("path", ["/ready", "/status", "/status/slow", "/metrics"])
async def test_the_endpoints_serve_crowds(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run: Any = Run(Mock(), asyncio.get_running_loop())
    probe = Probe(name="slow", run=Mock(), critical=True)
    result = ProbeResult(Status.HEALTHY, "ok")
    runner = Mock(probe=probe, critical=True)
    runner.request.return_value = run
    runner.row.return_value = ProbeRow(probe, "slow", critical=True, result=result)
    state = Mock(
        crowds=CountingCrowds(), settings=Settings(), components=[], drain=Drain(), starting=False,
        host=Mock(runners={"slow": runner}), started=0.0, version="3",
    )  # fmt: skip
    state.view.return_value = View(now=0.0, probes=[runner.row()])
    state.limits.reached.return_value = []
    state.auth.is_operator.return_value = True
    state.metrics.gather = lambda _budget: run.done
    state.metrics.page = AsyncMock(return_value=b"a page")
    render = {"/ready": "ready", "/status": "status", "/status/slow": "probe_item"}.get(path)
    rendered = state.metrics.page
    if render is not None:
        rendered = Mock(wraps=getattr(report, render))
        monkeypatch.setattr(report, render, rendered)
    app = make_app(state, detailed=True)
    async with TestClient(TestServer(app, host="127.0.0.1")) as client:
        callers = [asyncio.create_task(client.get(path)) for _ in range(5)]
        await eventually(state.crowds.has_five, "all callers wait")
        run.done.set_result(None)
        assert [(await caller).status for caller in callers] == [200] * 5
    assert rendered.call_count == 2
