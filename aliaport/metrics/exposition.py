"""Renders the Prometheus text format 0.0.4. Only this module imports aioprometheus.

aioprometheus has no locks and escapes nothing (its issue 91), so one thread owns it, receives plain
values, and renders only the families that changed since the last page.
"""

import asyncio
from collections.abc import Callable, Sequence
from itertools import accumulate

from aioprometheus.collectors import Collector, Counter, Gauge, Histogram, Registry
from aioprometheus.formats.text import TEXT_CONTENT_TYPE, TextFormatter
from aioprometheus.histogram import Histogram as HistogramState

from aliaport.contract.declarations import Metric, MetricKind
from aliaport.metrics.registry import HistogramValue, Samples
from aliaport.process.threads import worker

CONTENT_TYPE: str = TEXT_CONTENT_TYPE

_CLASSES = {
    MetricKind.GAUGE: Gauge,
    MetricKind.COUNTER: Counter,
    MetricKind.HISTOGRAM: Histogram,
}

Families = Sequence[tuple[Metric, Samples]]


class Exposition:
    """Renders pages in its own thread. Use it on the HTTP loop."""

    def __init__(self) -> None:
        self._thread = worker("metrics")
        self._blocks: dict[str, tuple[Samples, str]] = {}

    async def page(self, families: Families, read_last: Callable[[], Families]) -> bytes:
        """Return the page; the values must not change while it is rendered.

        `read_last` returns the last families of the page. It is called in the thread and may block.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._render, families, read_last)

    def _render(self, families: Families, read_last: Callable[[], Families]) -> bytes:
        texts = []
        for metric, samples in (*families, *read_last()):
            known = self._blocks.get(metric.name)
            if known is None or known[0] != samples:
                known = self._blocks[metric.name] = samples, render_family(metric, samples)
            texts.append(known[1])
        return ("\n".join(texts) + "\n").encode()


def render_family(metric: Metric, samples: Samples) -> str:
    """Return the lines of one family, with no final newline; without series, only HELP and TYPE."""
    collector: Collector = _CLASSES[metric.kind](
        metric.name, _escape_help(metric.help), registry=Registry()
    )
    for labels, value in samples.items():
        pairs = dict(zip(metric.labels, map(_escape_value, labels), strict=True))
        if isinstance(value, HistogramValue):
            collector.set_value(pairs, _histogram(metric.buckets, value))
        else:
            collector.set_value(pairs, value)
    return str(TextFormatter().marshall_collector(collector))


def _histogram(bounds: Sequence[float], value: HistogramValue) -> HistogramState:
    state = HistogramState(*bounds)
    for bound, total in zip(state.buckets, accumulate(value.counts), strict=True):
        state.buckets[bound] = total
    state.observations = sum(value.counts)
    state.sum = value.sum
    return state


def _escape_value(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _escape_help(text: str) -> str:
    return " ".join(text.replace("\\", r"\\").split())
