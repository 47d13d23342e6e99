"""The metrics page parses and has the right values, whatever the labels and values are."""

import math
import threading

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from aliaport.contract.declarations import Metric
from aliaport.metrics.exposition import Exposition, Families, render_family
from aliaport.metrics.registry import MetricRegistry
from aliaport.metrics.samples import Collection, freezer
from aliaport.testing import make_context

GAUGE = Metric.gauge("aliaport_x_gauge", 'A "help" with \\ and\na line.', ("a", "b"))


@given(
    st.lists(
        st.tuples(st.text(max_size=150), st.text(max_size=150), st.floats(allow_nan=True)),
        max_size=20,
    )
)
def test_a_parser_reads_back_labels_and_values(
    samples: list[tuple[str, str, float]],
) -> None:
    collection = freezer([GAUGE])([GAUGE.sample(value, a=a, b=b) for a, b, value in samples])
    assert isinstance(collection, Collection)
    expected = {series.labels: series.value for series in collection.series}
    text = render_family(GAUGE, {**expected}) + "\n"
    (family,) = text_string_to_metric_families(text)
    parsed: dict[tuple[str, ...], float]
    parsed = {(s.labels["a"], s.labels["b"]): s.value for s in family.samples}
    assert set(parsed) == set(expected)
    for labels, value in expected.items():
        assert parsed[labels] == value or (math.isnan(parsed[labels]) and math.isnan(value))


@given(st.lists(st.floats(min_value=-10, max_value=100), min_size=1, max_size=50))
def test_histograms_are_cumulative_and_complete(values: list[float]) -> None:
    metric = Metric.histogram("aliaport_x_seconds", "Durations.", ("kind",), (0.1, 1, 10))
    registry = MetricRegistry(10)
    handle = registry.histogram(metric, "x", make_context().log)
    for value in values:
        handle.observe(value, kind="k")
    text = render_family(metric, registry.snapshot()[metric.name]) + "\n"
    (family,) = text_string_to_metric_families(text)
    found = {s.labels.get("le", s.name.rpartition("_")[2]): s.value for s in family.samples}
    for bound in ("0.1", "1.0", "10.0"):
        assert found[bound] == sum(value <= float(bound) for value in values)
    assert found["+Inf"] == found["count"] == len(values)
    assert math.isclose(found["sum"], sum(values), abs_tol=1e-6)


async def test_what_may_block_is_read_outside_the_loop_and_ends_the_page() -> None:
    readers = []

    def read() -> Families:
        readers.append(threading.get_ident())
        return [(GAUGE, {("x", "y"): 1.0})]

    page = await Exposition().page([(GAUGE, {("first", ""): 2.0})], read)
    assert len(readers) == 1
    assert readers != [threading.get_ident()]
    assert page.endswith(b'{a="x",b="y"} 1.0\n')
