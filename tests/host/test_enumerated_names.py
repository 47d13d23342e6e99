"""Names may be members of an enumeration: the host reads their text."""

from enum import Enum, StrEnum
from typing import Any

import pytest

from aliaport.plugin import Check, Collector, Job, Metric, Plugin, PluginConfig, Probe, Sample
from aliaport.testing import run_plugin


class Modern(StrEnum):
    FREE = "aliaport_hall_free"
    LOST = "aliaport_hall_lost_total"
    HALL = "hall"
    NORTH = "north"
    OPEN = "open"
    SHUT = "shut"


class Older(str, Enum):  # noqa: UP042  str() and formats show `Older.FREE`
    FREE = "aliaport_hall_free"
    LOST = "aliaport_hall_lost_total"
    HALL = "hall"
    NORTH = "north"
    OPEN = "open"
    SHUT = "shut"


def named_by(names: Any) -> type[Plugin[PluginConfig]]:
    free = Metric.gauge(names.FREE, "Free.", (names.HALL,))
    lost = Metric.counter(names.LOST, "Lost.", (names.HALL,))

    class Hall(Plugin[PluginConfig]):
        api = (1, 0)

        async def start(self) -> None:
            self.context.counter(lost).inc(2, **{names.HALL: names.NORTH})

        def probes(self) -> list[Probe]:
            words = (names.OPEN, names.SHUT)
            return [Probe(name=names.NORTH, run=Check.healthy, section=names.HALL, words=words)]

        def jobs(self) -> list[Job]:
            return [Job(name=names.NORTH, run=lambda: None, every=60, timeout=5)]

        def metrics(self) -> list[Collector]:
            return [
                Collector(
                    (free,),
                    lambda: [
                        free.sample(1, **{names.HALL: names.NORTH}),
                        Sample(names.FREE, 3, {names.HALL: names.SHUT}),
                    ],
                )
            ]

    return Hall


@pytest.mark.parametrize("names", [Modern, Older])
def test_names_of_an_enumeration_are_their_text(names: Any) -> None:
    with run_plugin(named_by(names), name="hall", jobs=False) as plugin:
        page = plugin.exposition()
        assert 'aliaport_hall_free{hall="north"} 1.0\n' in page
        assert 'aliaport_hall_free{hall="shut"} 3.0\n' in page
        assert 'aliaport_hall_lost_total{hall="north"} 2.0\n' in page
        assert plugin.probe("north").code == "ok"
        assert plugin.job("north") == "succeeded"
        (runner,) = plugin._instance.probes  # noqa: SLF001
        probe = runner.probe
        word = runner.row(plugin.probe("north")).word
        (job,) = plugin._instance.jobs  # noqa: SLF001
        shown = f"{probe.name} {probe.section} {word} {job.job.name}"
        assert shown == "north hall open north"
