"""The test kit for plugin authors, and its error messages."""

import asyncio
import threading
from typing import Any

import pytest

from aliaport import testing
from aliaport.errors import AliaportError, ConfigError
from aliaport.plugin import Collector, Metric, Plugin, PluginConfig, Sample
from aliaport.testing import ProbeResult, make_context, run_plugin
from tests.typing.aliaport_shelves.plugin import ShelvesPlugin


class Bare(Plugin[PluginConfig]):
    api = (1, 0)


class NoApi(Plugin[PluginConfig]):
    pass


class FailingStart(Bare):
    async def start(self) -> None:
        raise ConnectionRefusedError("its server is away")


class FailingConstructor(Bare):
    def __init__(self, config: PluginConfig, context: Any) -> None:
        raise LookupError("no such shelf")


FREE = Metric.gauge("aliaport_bare_free", "Free.")
TAKEN = Metric.gauge("aliaport_bare_taken", "Taken.")


class Collecting(Bare):
    """One of its collectors does what the test says; by default, it waits."""

    outcome: Any = None
    limit = 30.0

    def metrics(self) -> list[Collector]:
        return [
            Collector((FREE,), lambda: [FREE.sample(1)], name="first"),
            Collector((TAKEN,), self.run, name="second", timeout=self.limit),
        ]

    async def run(self) -> list[Sample]:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        if self.outcome is None:
            await asyncio.Event().wait()
        samples: list[Sample] = self.outcome
        return samples


class Talking(Bare):
    async def start(self) -> None:
        assert self.context.database_url is not None
        self.context.log.info("bare.started", url=self.context.database_url.get_secret_value())
        self.context.audit.record("bare.started", environment=self.context.environment)
        try:
            raise LookupError("no such shelf")
        except LookupError:
            self.context.log.exception("bare.failed")


def test_unknown_probes_and_jobs_are_named_with_the_existing_ones() -> None:
    with run_plugin(ShelvesPlugin, {"halls": ["north"]}, name="shelves", jobs=False) as plugin:
        with pytest.raises(
            AliaportError, match="'west'; the plugin has: shelves_north, shelves_memory"
        ):
            plugin.probe("west")
        with pytest.raises(AliaportError, match="no job 'west'; the plugin has: count"):
            plugin.missed_runs("west")
    with run_plugin(Bare, name="bare") as plugin:
        with pytest.raises(AliaportError, match="no probe 'x'; the plugin has: none"):
            plugin.probe("x")
        with pytest.raises(AliaportError, match="no job 'x'; the plugin has: none"):
            plugin.job("x")
        assert plugin.exposition() == ""


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        (NoApi, r"api: .*does not declare its plugin API"),
        (FailingConstructor, r"construct: LookupError: no such shelf"),
        (FailingStart, r"start\(\) failed: ConnectionRefusedError: its server is away"),
    ],
)
def test_a_plugin_that_the_host_would_reject_is_an_error(
    plugin: type[Plugin[Any]], said: str
) -> None:
    with pytest.raises(AliaportError, match=said), run_plugin(plugin, name="bare"):
        pass


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (LookupError("no such shelf"), r"LookupError: no such shelf \(at .*test_kit\.py:.* in run"),
        (7, r"the collector returned int; return a list of Metric\.sample"),
    ],
)
def test_a_failed_collector_is_an_error_that_names_it(outcome: Any, said: str) -> None:
    collecting: Any = type("Made", (Collecting,), {"outcome": outcome, "__module__": __name__})
    with run_plugin(collecting, name="bare") as plugin:
        for scrape in (plugin.collect, plugin.exposition, plugin.collect):
            with pytest.raises(AliaportError, match=rf"collectors failed:\n  - second: .*{said}"):
                scrape()
        assert [sample.metric for sample in plugin.collect(may_fail=["second"])] == [FREE.name]
        collecting.outcome = []
        assert [sample.metric for sample in plugin.collect()] == [FREE.name]


def test_a_collector_that_is_late_is_an_error() -> None:
    late = type("Late", (Collecting,), {"limit": 0.1, "__module__": __name__})
    with (
        run_plugin(late, name="bare") as plugin,
        pytest.raises(AliaportError, match="second: did not finish in time"),
    ):
        plugin.collect()


def test_wrong_options_are_an_error() -> None:
    with (
        pytest.raises(ConfigError, match=r"did you mean 'halls'\?"),
        run_plugin(ShelvesPlugin, {"hall": ["north"]}, name="shelves"),
    ):
        pass


def test_the_name_comes_from_the_plugin_s_package() -> None:
    assert ShelvesPlugin.__module__.startswith("tests.")
    with run_plugin(Bare) as plugin:
        assert plugin.name == "tests"
    derived = type("Derived", (Bare,), {"__module__": "aliaport_orders.plugin"})
    with run_plugin(derived) as plugin:
        assert plugin.name == "orders"


def test_events_and_records_are_kept() -> None:
    url = "postgresql://u:geheim@h/x"
    with run_plugin(Talking, name="bare", database_url=url, environment="staging") as plugin:
        pass
    started, failed = (event for event in plugin.logged if event["event"].startswith("bare."))
    assert started == {"level": "info", "event": "bare.started", "url": url}
    assert "LookupError: no such shelf" in failed["exception"]
    assert plugin.audited == [{"action": "bare.started", "environment": "staging"}]


def test_a_context_accepts_every_part() -> None:
    context = make_context("x", database_url="postgresql://h/x", environment="production")
    assert (context.plugin, context.environment) == ("x", "production")
    assert context.database_url is not None
    assert context.database_url.get_secret_value() == "postgresql://h/x"
    assert make_context(log=context.log, audit=context.audit).log is context.log


def test_a_plugin_that_cannot_run_leaves_no_thread() -> None:
    nothing: Any = object()
    with pytest.raises(AttributeError), run_plugin(nothing):
        pass
    assert "aliaport-testing" not in {thread.name for thread in threading.enumerate()}


def test_the_old_name_of_a_result_still_works() -> None:
    with pytest.warns(DeprecationWarning, match="aliaport.testing.ProbeResult"):
        assert vars(testing)["__getattr__"]("ProbeAnswer") is ProbeResult
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        vars(testing)["__getattr__"]("Nothing")
