"""Samples that cannot be exported: never silent, never an exception in the plugin."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from aliaport.errors import AliaportError
from aliaport.plugin import Collector, Metric, Plugin, PluginConfig, Sample
from aliaport.testing import RunningPlugin, run_plugin

FREE = Metric.gauge("aliaport_shelf_free", "Free.", ("hall",))
LOST = Metric.counter("aliaport_shelf_lost_total", "Lost.", ("kind",))
WAIT = Metric.histogram("aliaport_shelf_wait_seconds", "Waits.", ("hall",), (1.0, 10.0))
OTHER = Metric.gauge("aliaport_shelf_other", "Declared by no collector.")
HUGE = 10**400


class Shelf(Plugin[PluginConfig]):
    """Its collectors return what the test says."""

    api = (1, 0)
    samples: list[Any] = []
    further: list[Any] = []

    def metrics(self) -> list[Collector]:
        return [
            Collector((FREE, LOST), lambda: self.samples, name="first"),
            Collector((FREE,), lambda: self.further, name="second"),
        ]


class Hostile(float):
    """A number whose own methods raise."""

    def __float__(self) -> float:
        raise RuntimeError

    def __lt__(self, other: object) -> bool:
        raise RuntimeError

    __repr__ = __ge__ = __lt__  # type: ignore[assignment]


def run(samples: list[Any], further: list[Any] | None = None) -> Any:
    made = type(
        "Made", (Shelf,), {"samples": samples, "further": further or [], "__module__": __name__}
    )
    return run_plugin(made, name="shelf")


def warnings(plugin: RunningPlugin) -> list[dict[str, Any]]:
    return [event for event in plugin.logged if event["event"] == "metric.sample_refused"]


COLLECTED: dict[str, tuple[list[Any], list[Any], str, str, str]] = {
    "a missing label": ([FREE.sample(1)], [], "the declared ones", "", "1"),
    "a wrong label": ([FREE.sample(2, room="a")], [], "the declared ones", "room", "2"),
    "one label too many": (
        [FREE.sample(2, hall="a", room="b")], [], "the declared ones", "hall, room", "2",
    ),
    "a label that is a number": (
        [Sample(FREE.name, 1, {"hall": 7})], [], "the label 'hall' is not text", "hall", "1",  # type: ignore[dict-item]
    ),
    "a text as value": ([Sample(FREE.name, "x", {"hall": "a"})], [], "not a number", "hall", "'x'"),  # type: ignore[arg-type]
    "None as value": ([Sample(FREE.name, None, {"hall": "a"})], [], "not a number", "hall", "None"),  # type: ignore[arg-type]
    "a number beyond floats": (
        [FREE.sample(HUGE, hall="a")], [], "too large", "hall", "an integer of 1329 bits",
    ),
    "a counter below 0": ([LOST.sample(-1, kind="a")], [], "cannot decrease", "kind", "-1"),
    "a counter that is nan": (
        [LOST.sample(math.nan, kind="a")], [], "cannot take the value nan", "kind", "nan",
    ),
    "a gauge that is nan": (
        [FREE.sample(math.inf - math.inf, hall="a")], [], "cannot take the value nan", "hall", "nan",
    ),
    "a gauge that is infinite": (
        [FREE.sample(1e308 * 10, hall="a")], [], "cannot take the value inf", "hall", "inf",
    ),
    "a family of no collector": ([OTHER.sample(1)], [], "does not declare", "", "1"),
    "a duplicate": (
        [FREE.sample(1, hall="a"), FREE.sample(2, hall="a")], [], "same labels", "hall=a", "2.0",
    ),
    "a duplicate in another collector": (
        [FREE.sample(1, hall="a")], [FREE.sample(2, hall="a")], "same labels", "hall=a", "2.0",
    ),
    "a number instead of a sample": ([5], [], "not a sample", "", "5"),
}  # fmt: skip


@pytest.mark.parametrize("kind", COLLECTED)
def test_a_refused_sample_is_one_warning_and_an_error_of_the_kit(kind: str) -> None:
    samples, further, problem, given, value = COLLECTED[kind]
    with run(samples, further) as plugin:
        with pytest.raises(AliaportError, match=problem):
            plugin.collect()
        plugin.collect()  # known already
        (warning,) = warnings(plugin)
        assert warning["level"] == "warning"
        assert problem in warning["reason"]
        assert (warning["given"], warning["value"]) == (given, value)
        assert warning["hint"]
        states = [collector.stats.success for collector in plugin._instance.collectors]  # noqa: SLF001
        assert states.count(False) == 1


def test_each_family_is_reported_once() -> None:
    samples = [FREE.sample(1), FREE.sample(2), LOST.sample(-1, kind="a")]
    with run(samples) as plugin:
        with pytest.raises(AliaportError, match=r"aliaport_shelf_free.*\n.*aliaport_shelf_lost"):
            plugin.exposition()
        assert [event["family"] for event in warnings(plugin)] == [FREE.name, LOST.name]
        assert warnings(plugin)[0]["declared"] == "hall"


WRITTEN: dict[str, tuple[Callable[[Any], None], str]] = {
    "a counter without its label": (lambda c: c.counter(LOST).inc(), "the declared ones"),
    "a counter with a wrong label": (lambda c: c.counter(LOST).inc(sort="a"), "the declared ones"),
    "a counter that is decreased": (lambda c: c.counter(LOST).inc(-1, kind="a"), "cannot decrease"),
    "a counter plus nan": (lambda c: c.counter(LOST).inc(math.nan, kind="a"), "the value nan"),
    "a counter plus infinity": (lambda c: c.counter(LOST).inc(math.inf, kind="a"), "value inf"),
    "a counter plus too much": (lambda c: c.counter(LOST).inc(HUGE, kind="a"), "too large"),
    "a counter plus text": (lambda c: c.counter(LOST).inc("1", kind="a"), "not a number"),
    "a histogram of nan": (lambda c: c.histogram(WAIT).observe(math.nan, hall="a"), "value nan"),
    "a histogram of too much": (lambda c: c.histogram(WAIT).observe(HUGE, hall="a"), "too large"),
    "a histogram of text": (lambda c: c.histogram(WAIT).observe("1", hall="a"), "not a number"),
    "a gauge that is nan": (lambda c: c.gauge(OTHER).set(math.inf - math.inf), "the value nan"),
    "a gauge that is infinite": (lambda c: c.gauge(OTHER).set(-1e308 * 10), "the value -inf"),
    "a gauge that is too large": (lambda c: c.gauge(OTHER).set(HUGE), "too large"),
    "a gauge with a label": (lambda c: c.gauge(OTHER).set(1, hall="a"), "the declared ones"),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_an_instrument_reports_and_never_raises_into_the_plugin(kind: str) -> None:
    write, problem = WRITTEN[kind]

    def write_twice() -> None:
        with run([]) as plugin:
            for _ in range(2):
                write(plugin._instance._plugin.context)  # noqa: SLF001
            (warning,) = warnings(plugin)
            assert problem in warning["reason"]

    with pytest.raises(AliaportError, match=f"samples were refused:\n.*{problem}"):
        write_twice()


def test_a_value_that_is_not_a_number_poisons_no_histogram() -> None:
    with run([]) as plugin:
        waits = plugin._instance._plugin.context.histogram(WAIT)  # noqa: SLF001
        waits.observe(2, hall="a")
        waits.observe(math.nan, hall="a")
        waits.observe(Hostile(3), hall="a")
        with pytest.raises(AliaportError, match="the value nan"):
            plugin.exposition()
        page = plugin.exposition()
        assert 'aliaport_shelf_wait_seconds_sum{hall="a"} 5' in page
        assert 'aliaport_shelf_wait_seconds_count{hall="a"} 2' in page


def test_a_sum_that_overflows_is_refused_and_poisons_nothing() -> None:
    with run([]) as plugin:
        context = plugin._instance._plugin.context  # noqa: SLF001
        context.counter(LOST).inc(7, kind="b")
        waits = context.histogram(WAIT)
        for sign in (1, -1):
            for _ in range(3):
                context.counter(LOST).inc(1e308, kind="a")
                waits.observe(sign * 1e308, hall=str(sign))
        expected = (
            r"lost_total: the sum of the counter would become inf (.|\n)*histogram would become"
        )
        with pytest.raises(AliaportError, match=expected):
            plugin.exposition()
        page = plugin.exposition()
        assert len(warnings(plugin)) == 2, "one for each family"
        assert not any(line.lower().endswith(("inf", "nan")) for line in page.splitlines())
        assert 'lost_total{kind="b"} 7' in page
        for hall in ("1", "-1"):
            assert f'aliaport_shelf_wait_seconds_count{{hall="{hall}"}} 1.0\n' in page


def test_the_samples_beyond_the_limit_of_a_collection_are_counted() -> None:
    many = [FREE.sample(n, hall=str(n)) for n in range(20_001)]
    with run(many) as plugin:
        assert len(plugin.collect()) == 20_000
        assert plugin._registry.dropped_series()["shelf", "collection_cap"] == 1  # noqa: SLF001
