"""Families whose samples would share a name: the later one is refused at its declaration."""

import pytest

from aliaport.contract.declarations import MetricKind
from aliaport.errors import AliaportError, DeclarationError
from aliaport.host.scrape import declare_host_families
from aliaport.metrics.registry import MetricRegistry
from aliaport.plugin import CURRENCY_SYNC_SUCCESS, Collector, Metric, Plugin, PluginConfig
from aliaport.testing import run_plugin


def gauge(name: str) -> Metric:
    return Metric.gauge(name, "A gauge.")


def counter(name: str) -> Metric:
    return Metric.counter(name, "A counter.")


def histogram(name: str) -> Metric:
    return Metric.histogram(name, "A histogram.")


@pytest.fixture
def registry() -> MetricRegistry:
    registry = MetricRegistry(10)
    declare_host_families(registry)
    return registry


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        (histogram("aliaport_x_a"), gauge("aliaport_x_a_count"), "aliaport_x_a_count"),
        (gauge("aliaport_x_a_sum"), histogram("aliaport_x_a"), "aliaport_x_a_sum"),
        (histogram("aliaport_x_a"), gauge("aliaport_x_a_bucket"), "aliaport_x_a_bucket"),
        (histogram("aliaport_x_a"), histogram("aliaport_x_a_count"), "aliaport_x_a_count"),
        (counter("aliaport_x_a_total"), gauge("aliaport_x_a"), "aliaport_x_a"),
        (counter("aliaport_x_a_total"), gauge("aliaport_x_a_created"), "aliaport_x_a_created"),
        (counter("aliaport_x_a_total"), histogram("aliaport_x_a"), "aliaport_x_a"),
    ],
)
def test_two_families_with_one_sample_name(
    registry: MetricRegistry, first: Metric, second: Metric, name: str
) -> None:
    registry.declare(first, "x")
    with pytest.raises(DeclarationError, match=f"of the same plugin uses the name '{name}' too"):
        registry.declare(second, "x")
    assert second.name not in registry.families


def test_another_plugin_s_family_and_the_core_s_are_protected(registry: MetricRegistry) -> None:
    registry.declare(histogram("aliaport_x_y_seconds"), "x")
    with pytest.raises(DeclarationError, match="the histogram 'aliaport_x_y_seconds' of x uses"):
        registry.declare(gauge("aliaport_x_y_seconds_sum"), "x_y")
    with pytest.raises(DeclarationError, match="'aliaport_http_request_duration_seconds' of alia"):
        registry.declare(gauge("aliaport_http_request_duration_seconds_count"), "http")
    with pytest.raises(DeclarationError, match="'aliaport_probe_runs_total' of aliaport"):
        registry.declare(gauge("aliaport_probe_runs"), "probe")
    with pytest.raises(DeclarationError, match="'aliaport_db_query_duration_seconds' of aliaport"):
        registry.declare(gauge("aliaport_db_query_duration_seconds_bucket"), "db")


def test_a_counter_ends_in_total_unless_the_specification_names_it(
    registry: MetricRegistry,
) -> None:
    with pytest.raises(
        DeclarationError, match=r"must end in '_total'; rename it to '\w+_jobs_total"
    ):
        registry.declare(counter("aliaport_x_jobs"), "x")
    registry.declare(counter("aliaport_x_jobs_total"), "x")
    registry.declare(CURRENCY_SYNC_SUCCESS, "x")
    assert registry.families[CURRENCY_SYNC_SUCCESS.name].kind is MetricKind.COUNTER


class Twice(Plugin[PluginConfig]):
    api = (1, 0)

    def metrics(self) -> list[Collector]:
        self.context.histogram(histogram("aliaport_twice_a"))
        return [Collector((gauge("aliaport_twice_a_count"),), list)]


def test_the_kit_rejects_such_a_plugin() -> None:
    with (
        pytest.raises(AliaportError, match="'aliaport_twice_a_count' too"),
        run_plugin(Twice, name="twice"),
    ):
        pass
