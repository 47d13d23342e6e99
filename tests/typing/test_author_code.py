"""Authors' code against the public API: the type checker accepts good code and refuses misuse."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aliaport.plugin import Audit, Clock, Context, Logger
from aliaport.testing import FakeClock, RunningPlugin, make_context, run_plugin
from tests.typing.aliaport_shelves.application import SiteConfig, create
from tests.typing.aliaport_shelves.plugin import ShelvesConfig, ShelvesPlugin

pytestmark = pytest.mark.computes

ROOT = Path(__file__).parents[2]
PACKAGE = Path(__file__).parent / "aliaport_shelves"

MISUSES = {
    "the options of another plugin": (
        "class Other(PluginConfig):\n    pass\n"
        "ShelvesPlugin(Other(), make_context())  # error: arg-type"
    ),
    "a base class that is not an options model": (
        "class P(Plugin[int]):  # error: type-var\n    api = (1, 0)"
    ),
    "an option that does not exist": (
        "class P(Plugin[PluginConfig]):\n"
        "    def go(self) -> object:\n"
        "        return self.config.limit  # error: attr-defined"
    ),
    "a version of the contract that is a string": (
        "class P(Plugin[PluginConfig]):\n    api = '1.0'  # error: assignment"
    ),
    "options that change": ("config = ShelvesConfig()\nconfig.min_free = 3  # error: misc"),
    "probes that are not a sequence": (
        "class P(Plugin[PluginConfig]):\n"
        "    def probes(self) -> Probe:  # error: override\n"
        "        raise NotImplementedError"
    ),
    "a start that is not async": (
        "class P(Plugin[PluginConfig]):\n"
        "    def start(self) -> None:  # error: override\n"
        "        pass"
    ),
    "a probe that returns a string": (
        "def run() -> str:\n    return 'fine'\nProbe(name='x', run=run)  # error: arg-type"
    ),
    "a probe without a name": "Probe(run=Check.healthy)  # error: call-arg",
    "a probe with one word": (
        "Probe(name='x', run=Check.healthy, words=('up',))  # error: arg-type"
    ),
    "data that is not a scalar": "Check.healthy(rows=[1, 2])  # error: arg-type",
    "a status that is a string": "Check('healthy')  # error: arg-type",
    "a result that changes": "Check.healthy().summary = 'x'  # error: misc",
    "a collector that returns numbers": (
        "def run() -> list[float]:\n    return [1.0]\nCollector((GAUGE,), run)  # error: arg-type"
    ),
    "a sample that is a string": "GAUGE.sample('full')  # error: arg-type",
    "a label that is a number": "GAUGE.sample(1, hall=7)  # error: arg-type",
    "a job without a pause": ("Job(name='x', run=print, timeout=1)  # error: call-arg"),
    "a schedule that is a string": (
        "def run() -> None:\n    pass\n"
        "Job(name='x', run=run, every=1, timeout=1, schedule='0 0 * * *')  # error: arg-type"
    ),
    "a counter that is set": ("make_context().counter(COUNTER).set(1)  # error: attr-defined"),
    "a gauge that is incremented": ("make_context().gauge(GAUGE).inc()  # error: attr-defined"),
    "an audit without an action": "make_context().audit.record()  # error: call-arg",
    "a context that changes": "make_context().plugin = 'x'  # error: misc",
    "an app whose factory returns nothing": (
        "def create(context: Context, options: PluginConfig) -> None:\n    pass\n"
        "App(prefix='/x', create=create)  # error: arg-type"
    ),
    "a refusal without a message": "raise Refusal(404, 'gone')  # error: call-arg",
    "a refusal whose status is a string": (
        "raise Refusal('404', 'gone', 'it is gone')  # error: arg-type"
    ),
    "a pool without a name": "Pool(make_context())  # error: call-arg",
    "a pool that is awaited for a connection": (
        "async def go(pool: Pool) -> None:\n    await pool.acquire()  # error: misc"
    ),
    "a migration without a name": "Migration(1, 'SELECT 1')  # error: call-arg",
    "a plugin that is run as an instance": (
        "run_plugin(ShelvesPlugin(ShelvesConfig(), make_context()))  # error: arg-type"
    ),
    "a clock that has no monotonic": (
        "class Half:\n    def now(self) -> datetime:\n        return datetime.now()\n"
        "make_context(clock=Half())  # error: arg-type"
    ),
    "a command whose options are not a model": (
        "with plugin_context('x', dict):  # error: type-var\n    pass"
    ),
}
PRELUDE = """\
from datetime import datetime
from aliaport.apps import App, Refusal
from aliaport.commands import plugin_context
from aliaport.plugin import Check, Collector, Context, Job, Metric, Plugin, PluginConfig, Probe
from aliaport.postgres import Migration, Pool
from aliaport.testing import make_context, run_plugin
from tests.typing.aliaport_shelves.plugin import ShelvesConfig, ShelvesPlugin
GAUGE = Metric.gauge("aliaport_x_free", "Free.", ("hall",))
COUNTER = Metric.counter("aliaport_x_total", "Counted.")
"""


def mypy(*files: Path, found_in: Path = ROOT) -> list[str]:
    """Return mypy's output for the files, configured as for this project."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", *map(str, files)],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(found_in)},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.service
def test_good_code_of_an_author_passes() -> None:
    assert mypy(*sorted(PACKAGE.glob("*.py"))) == []


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return the type checker's errors, by misuse, as `line: code`."""
    folder = tmp_path_factory.mktemp("misuses")
    files = {f"misuse_{number}": name for number, name in enumerate(MISUSES)}
    for module, name in files.items():
        (folder / f"{module}.py").write_text(PRELUDE + MISUSES[name] + "\n")
    found: dict[str, list[str]] = {name: [] for name in MISUSES}
    for line in mypy(*(folder / f"{module}.py" for module in files), found_in=folder):
        error = re.fullmatch(r".*?(\w+)\.py:(\d+): error: .* \[([\w-]+)\]", line)
        if error:
            found[files[error[1]]].append(f"{error[2]}: {error[3]}")
    return found


@pytest.mark.service
@pytest.mark.parametrize("name", MISUSES)
def test_misuse_is_refused(name: str, refused: dict[str, list[str]]) -> None:
    lines = (PRELUDE + MISUSES[name]).splitlines()
    expected = [
        f"{number}: {marked[1]}"
        for number, line in enumerate(lines, start=1)
        if (marked := re.search(r"# error: ([\w-]+)", line))
    ]
    assert refused[name] == expected


def test_the_kit_s_objects_match_the_protocols() -> None:
    context: Context = make_context("shelves")
    log: Logger = context.log
    audit: Audit = context.audit
    clock: Clock = context.clock
    log.debug("shelves.tried", once=True)
    audit.record("shelves.tried")
    assert clock.now().tzinfo is not None
    application = create(context, SiteConfig())
    assert [route.method for route in application.router.routes()] == ["HEAD", "GET"]


def test_the_author_s_plugin_runs() -> None:
    plugin: RunningPlugin
    now = datetime(2026, 11, 24, 9, tzinfo=UTC)
    options = {"halls": ["north", "south"], "min_free": 11}
    with run_plugin(
        ShelvesPlugin, options, name="shelves", clock=FakeClock(now), jobs=False
    ) as plugin:
        result = plugin.probe("shelves_north")
        assert (result.status, result.code) == ("degraded", "nearly_full")
        assert plugin.probe("shelves_memory").code == "ok"
        assert plugin.job("count") == "succeeded"
        assert plugin.audited == [{"action": "shelves.counted", "halls": 2}]
        page = plugin.exposition()
    assert 'aliaport_shelves_free{hall="south"} 10' in page
    assert "aliaport_shelves_counted_total 20" in page
    assert "aliaport_shelves_seconds_count 1" in page
    assert ShelvesConfig().halls == ("north", "south")
