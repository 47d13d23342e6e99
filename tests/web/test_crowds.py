"""Callers of the same moment share one rendering, and nobody gets an older one."""

import asyncio
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
        self.gathered = self.rendered = 0
        self.fails = False

    async def gather(self) -> int:
        self.gathered += 1
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


@pytest.fixture(autouse=True)
def _one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the callers of a test be simultaneous, however busy the machine is."""
    monkeypatch.setattr(crowds, "MOMENT", 600)


async def call(together: Crowds, page: Page, *views: str) -> "list[asyncio.Task[str]]":
    """Start a caller of each view, and return when all of them wait."""
    callers = [asyncio.create_task(together.join(view, page.gather, page.render)) for view in views]
    await asyncio.sleep(0)
    return callers


async def test_a_crowd_shares_one_rendering() -> None:
    together, page = Crowds(), Page()
    callers = await call(together, page, *["/status"] * CALLERS)
    others = await call(together, page, *["/status?verbose"] * CALLERS)
    page.gate.set()
    assert set(await asyncio.gather(*callers)) == {"page 1"}
    assert set(await asyncio.gather(*others)) == {"page 2"}
    assert (page.gathered, page.rendered) == (2, 2)


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


async def test_who_comes_a_moment_later_has_an_own_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    together, page = Crowds(), Page()
    early = await call(together, page, "/ready")
    monkeypatch.setattr(crowds, "MOMENT", -1)
    late = await call(together, page, "/ready")
    page.gate.set()
    await asyncio.gather(*early, *late)
    assert page.rendered == 2


async def test_a_failure_of_the_first_caller_is_not_shared() -> None:
    together, page = Crowds(), Page()
    callers = await call(together, page, *["/status"] * 3)
    page.fails = True
    page.gate.set()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert sorted(map(str, outcomes)) == [f"rendering {number}" for number in (1, 2, 3)]
    page.fails = False
    (next_one,) = await call(together, page, "/status")
    assert await next_one == "page 4"


@pytest.mark.parametrize("cancelled", [0, 1], ids=["first", "joined"])
async def test_a_caller_that_leaves_takes_nobody_along(cancelled: int) -> None:
    together, page = Crowds(), Page()
    callers = await call(together, page, *["/status"] * 3)
    callers[cancelled].cancel()
    await asyncio.sleep(0)
    page.gate.set()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(outcomes.pop(cancelled), asyncio.CancelledError)
    assert all(isinstance(outcome, str) for outcome in outcomes)


@pytest.mark.parametrize("path", ["/ready", "/status", "/status/slow", "/metrics"])
async def test_the_endpoints_serve_crowds(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run: Any = Run(Mock(), asyncio.get_running_loop())
    probe = Probe(name="slow", run=Mock(), critical=True)
    result = ProbeResult(Status.HEALTHY, "ok")
    runner = Mock(probe=probe, critical=True)
    runner.request.return_value = run
    runner.row.return_value = ProbeRow(probe, "slow", critical=True, result=result)
    state = Mock(
        crowds=Crowds(), settings=Settings(), components=[], drain=Drain(), starting=False,
        host=Mock(runners={"slow": runner}), started=0.0, version="3",
    )  # fmt: skip
    state.view.return_value = View(now=0.0, probes=[runner.row()])
    state.limits.reached.return_value = []
    state.auth.is_operator.return_value = True
    state.metrics.begin.return_value = [(Mock(), run)]
    state.metrics.gather = lambda _runs, _budget: run.done
    state.metrics.page = AsyncMock(return_value=b"a page")
    render = {"/ready": "ready", "/status": "status", "/status/slow": "probe_item"}.get(path)
    rendered = state.metrics.page
    if render is not None:
        rendered = Mock(wraps=getattr(report, render))
        monkeypatch.setattr(report, render, rendered)
    app = make_app(state, detailed=True)
    async with TestClient(TestServer(app, host="127.0.0.1")) as client:
        callers = [asyncio.create_task(client.get(path)) for _ in range(5)]
        requested = state.metrics.begin if path == "/metrics" else runner.request
        await eventually(lambda: called(requested, 5), "all callers wait")
        run.done.set_result(None)
        assert [(await caller).status for caller in callers] == [200] * 5
    assert rendered.call_count == 1


async def called(mock: Mock, times: int) -> bool:
    return mock.call_count == times
