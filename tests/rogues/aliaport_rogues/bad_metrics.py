"""Collectors that flood, hang and emit hostile values."""

import asyncio
from collections.abc import Iterator
from typing import Any

from aliaport.plugin import Collector, Metric, Plugin, PluginConfig, Sample

FLOOD = Metric.gauge("aliaport_flooding_series", "Far too many.", ("id",))
EVENTS = Metric.counter("aliaport_flooding_events_total", "Events.", ("id",))
HOSTILE = Metric.gauge(
    "aliaport_hostile_values", 'Help with "quotes",\na line and a \\.', ("text",)
)
HANGING = Metric.gauge("aliaport_hangcollect_value", "Never comes.")
FINE = Metric.gauge("aliaport_hangcollect_fine", "Always comes.")


class Flooding(Plugin[PluginConfig]):
    api = (1, 0)

    def metrics(self) -> list[Collector]:
        return [Collector((FLOOD,), self.collect)]

    async def collect(self) -> list[Sample]:
        events = self.context.counter(EVENTS)
        for number in range(300):
            events.inc(id=str(number))
        return [FLOOD.sample(number, id=str(number)) for number in range(100_000)]


class Hostile(Plugin[PluginConfig]):
    api = (1, 0)

    def metrics(self) -> list[Collector]:
        return [Collector((HOSTILE,), self.collect)]

    async def collect(self) -> list[Any]:
        text: Any = "4"
        return [
            HOSTILE.sample(1, text='a"b\\c\nd'),
            HOSTILE.sample(True, text="boolean"),
            HOSTILE.sample(float("nan"), text="nan"),
            HOSTILE.sample(float("-inf"), text="inf"),
            HOSTILE.sample(2, text="\ud800 surrogate"),
            HOSTILE.sample(3, text="x" * 10_000),
            HOSTILE.sample(text, text="text as value"),
            HOSTILE.sample(5, other="wrong label"),
            Sample("aliaport_http_requests_total", 6, {}),
            "no sample",
        ]


class HangCollect(Plugin[PluginConfig]):
    api = (1, 0)

    def metrics(self) -> list[Collector]:
        return [
            Collector((HANGING,), self.hang, timeout=30),
            Collector((FINE,), self.fine),
        ]

    async def hang(self) -> list[Sample]:
        await asyncio.sleep(3600)
        return []

    async def fine(self) -> list[Sample]:
        return [FINE.sample(1)]


LEVEL = Metric.gauge("aliaport_refused_level", "A level.", ("tank",))
LOST = Metric.counter("aliaport_refused_lost_total", "Lost.", ("kind",))
WAIT = Metric.histogram("aliaport_refused_wait_seconds", "Waits.", (), (1.0, 10.0))


class Refused(Plugin[PluginConfig]):
    """Forgets a label at each scrape, and observes a value that is not a number."""

    api = (1, 0)

    def metrics(self) -> list[Collector]:
        return [Collector((LEVEL,), self.collect)]

    async def collect(self) -> list[Sample]:
        wait = self.context.histogram(WAIT)
        wait.observe(float("nan"))
        wait.observe(2)
        return [LEVEL.sample(1), LEVEL.sample(2, tank="north")]


SECONDS = Metric.histogram("aliaport_twin_seconds", "A histogram.")


class Twin(Plugin[PluginConfig]):
    """Declares the histogram whose samples another plugin's gauge is named like."""

    api = (1, 0)

    def metrics(self) -> list[Collector]:
        self.context.histogram(SECONDS).observe(1)
        return []


COUNT = Metric.gauge("aliaport_twin_seconds_count", "A gauge with the name of a sample.")


class TwinSeconds(Plugin[PluginConfig]):
    api = (1, 0)

    def metrics(self) -> list[Collector]:
        return [Collector((COUNT,), lambda: [COUNT.sample(1)])]


STATES = Metric.gauge("aliaport_failcollect_state", "A state.")


class FailCollect(Plugin[PluginConfig]):
    """Its collectors return no samples, in every way, but for one."""

    api = (1, 0)

    def metrics(self) -> list[Collector]:
        nothing: Any = lambda: None  # noqa: E731
        mapping: Any = lambda: {STATES: 1}  # noqa: E731
        one: Any = lambda: STATES.sample(1)  # noqa: E731
        return [
            Collector((STATES,), nothing, name="nothing"),
            Collector((STATES,), mapping, name="mapping"),
            Collector((STATES,), one, name="one"),
            Collector((STATES,), self.generate, name="generator"),
            Collector((STATES,), self.find, name="finds"),
        ]

    def generate(self) -> Iterator[Sample]:
        yield STATES.sample(1)
        raise LookupError("in the middle")

    async def find(self) -> list[Sample]:
        return [STATES.sample(2)]
