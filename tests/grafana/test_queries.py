"""Every query selects series that exist, by labels that they have, in a meaningful way."""

import re
from typing import Any

import promql_parser as promql
import pytest

from tests.grafana import known_metrics
from tests.grafana.dashboards import (
    Json,
    dashboards,
    queries,
    substituted,
    surroundings,
    targets,
    variable,
)
from tests.grafana.promql import matchers, parsed, selectors
from tests.grafana.result_labels import NoSuchLabel, result_labels
from tests.support import metric_lists


def expressions(dashboard: Json) -> list[tuple[str, str]]:
    """Return all expressions of a dashboard: panels, annotations and variables."""
    choices = []
    for name in ("job", "instance"):
        found = variable(dashboard, name)
        assert found is not None
        selector = found["query"].removeprefix("label_values(").rpartition(",")[0]
        choices.append((f"variable {name}", substituted(selector)))
    return [*queries(dashboard), *surroundings(dashboard), *choices]


def names(expr: str) -> set[str]:
    """Return the metrics that an expression names, including alternatives in a name matcher."""
    found: set[str] = set()
    for selector, _ in selectors(expr):
        if selector.name:
            found.add(selector.name)
        for label, _, value in matchers(selector):
            if label == "__name__":
                found |= set(value.split("|"))
    return found


def unknown(dashboard: Json) -> list[str]:
    """Return metrics that are in no list and no rule of ours."""
    known = (
        known_metrics.own().keys() | known_metrics.third_party() | known_metrics.recorded().keys()
    )
    return [
        f"{title}: {name}"
        for title, expr in expressions(dashboard)
        for name in sorted(names(expr) - known)
    ]


@pytest.mark.parametrize("uid", dashboards())
def test_only_known_metrics_are_queried(uid: str) -> None:
    assert unknown(dashboards()[uid]) == []


def test_an_unknown_metric_is_noticed() -> None:
    dashboard = dashboards()["aliaport-slo"]
    next(targets(dashboard))[1]["expr"] = 'aliaport_requests{job=~"$job"} / slo:error_ratio:rate9d'
    assert unknown(dashboard) == [
        "Availability: aliaport_requests",
        "Availability: slo:error_ratio:rate9d",
    ]


def test_only_dashboards_need_the_metrics_of_their_own_list() -> None:
    used = {
        name
        for board in dashboards().values()
        for _, expr in expressions(board)
        for name in names(expr)
    }
    listed = metric_lists.third_party(metric_lists.DASHBOARDS_ONLY)
    assert listed, "the list is not read"
    assert listed - used == set(), "listed, but used by no dashboard"
    assert not listed & metric_lists.third_party(), "listed twice"


def bare_counters(expr: str) -> list[str]:
    """Return counters, by type and not by name, that are used without rate or increase."""
    found = []
    for selector, above in selectors(expr):
        name = selector.name or ""
        if known_metrics.own().get(name, {}).get("type") != "counter":
            continue
        call: Any = above[-2] if len(above) > 1 else None
        if not isinstance(call, promql.Call) or call.func.name not in ("rate", "increase"):
            found.append(name)
    return found


@pytest.mark.parametrize("uid", dashboards())
def test_counters_are_queried_by_rate_or_increase(uid: str) -> None:
    for title, expr in queries(dashboards()[uid]):
        assert bare_counters(expr) == [], title


def test_a_bare_counter_is_noticed() -> None:
    assert bare_counters("sum(aliaport_currency_sync_success)") != []
    assert bare_counters("sum(aliaport_db_query_duration_seconds_sum) / 2") != []


def growth_of_gauges(expr: str) -> list[str]:
    """Return our gauges in functions that take every fall for a restart."""
    return [
        selector.name or ""
        for selector, above in selectors(expr)
        if known_metrics.own().get(selector.name or "", {}).get("type") == "gauge"
        and len(above) > 1
        and isinstance(above[-2], promql.Call)
        and above[-2].func.name in ("rate", "irate", "increase")
    ]


@pytest.mark.parametrize("uid", dashboards())
def test_gauges_are_not_queried_by_rate_or_increase(uid: str) -> None:
    for title, expr in queries(dashboards()[uid]):
        assert growth_of_gauges(expr) == [], title


def test_the_rate_of_a_gauge_is_noticed() -> None:
    assert growth_of_gauges("rate(aliaport_active_users[5m])") == ["aliaport_active_users"]


def wrong_legend(expr: str, legend: str) -> set[str]:
    """Return labels that a legend names but the results do not have."""
    labels = result_labels(parsed(substituted(expr)))
    named = set(re.findall(r"\{\{(\w+)\}\}", legend))
    return set() if labels is None else named - labels


@pytest.mark.parametrize("uid", dashboards())
def test_labels_match_the_series(uid: str) -> None:
    for panel, target in targets(dashboards()[uid]):
        try:
            wrong = wrong_legend(target["expr"], target["legendFormat"])
        except NoSuchLabel as problem:
            pytest.fail(f"{panel['title']}: there is no label {problem}: {target['expr']}")
        assert not wrong, f"{panel['title']}: {target['legendFormat']} of {target['expr']}"


@pytest.mark.parametrize(
    "expr",
    [
        "sum by (route) (rate(aliaport_http_requests_total[5m]))",
        'aliaport_probe_status{code="ok"}',
        "aliaport_probe_status and on (endpoint) aliaport_probe_critical",
        "aliaport_threads * on (job, instance) group_left (release) aliaport_build_info",
        'slo:error_ratio:rate1h{route="/"}',
    ],
)
def test_a_wrong_label_is_noticed(expr: str) -> None:
    with pytest.raises(NoSuchLabel):
        result_labels(parsed(expr))


@pytest.mark.parametrize(
    ("expr", "legend"),
    [
        ("sum by (method) (rate(aliaport_http_requests_total[5m]))", "{{endpoint}}"),
        ("max(aliaport_threads)", "{{instance}}"),
        ("histogram_quantile(0.9, rate(aliaport_db_query_duration_seconds_bucket[5m]))", "{{le}}"),
        ("aliaport_threads / on (job) aliaport_cpu_load1", "{{instance}}"),
    ],
)
def test_a_legend_of_labels_summed_away_is_noticed(expr: str, legend: str) -> None:
    assert wrong_legend(expr, legend)


@pytest.mark.parametrize("uid", dashboards())
def test_series_of_a_panel_have_different_legends(uid: str) -> None:
    """Check the legends of a panel: with equal legends, two lines would have one name."""
    for panel in dashboards()[uid]["panels"]:
        legends = [target["legendFormat"] for target in panel.get("targets", [])]
        assert len(set(legends)) == len(legends), panel["title"]


def test_user_requests_match_the_rules() -> None:
    users = {
        value
        for board in dashboards().values()
        for _, expr in queries(board)
        for selector, _ in selectors(expr)
        for label, op, value in matchers(selector)
        if label == "endpoint" and op == promql.MatchOp.NotRe
    }
    rules = (metric_lists.DEPLOY / "prometheus/alert.rules.yml").read_text()
    rules += (metric_lists.DEPLOY / "prometheus/service.rules.yml").read_text()
    assert users
    for value in users:
        assert f'endpoint!~"{value}"' in rules, value


def test_variables_are_filled_in() -> None:
    for board in dashboards().values():
        for title, expr in expressions(board):
            assert "$" not in expr, f"{title}: {expr}"
