"""All rules of dashboard-linter hold for all dashboards, and each rule can be broken."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.grafana.dashboards import Json, dashboards, panels, targets
from tests.grafana.linter import EXEMPT, RULES
from tests.grafana.promql import selectors

OVERVIEW = dashboards()["aliaport-overview"]


@pytest.mark.parametrize("uid", dashboards())
@pytest.mark.parametrize("rule", RULES)
def test_every_rule_holds(rule: str, uid: str) -> None:
    assert list(RULES[rule](dashboards()[uid])) == []


def test_there_are_17_rules() -> None:
    assert len(RULES) == 17


def variable_with(number: int, **changed: Any) -> Callable[[Json], None]:
    return lambda dashboard: dashboard["templating"]["list"][number].update(changed)


def panel_with(**changed: Any) -> Callable[[Json], None]:
    return lambda dashboard: next(panels(dashboard)).update(changed)


def with_query(expr: str) -> Callable[[Json], None]:
    return lambda dashboard: next(targets(dashboard))[1].update(expr=expr)


def unit(name: str) -> Callable[[Json], None]:
    return lambda dashboard: next(panels(dashboard))["fieldConfig"]["defaults"].update(unit=name)


CHOSEN = 'job=~"$job",instance=~"$instance"'
FIXED = {"type": "prometheus", "uid": "aliaport-prometheus"}
FAULTS = [
    ("template-datasource-rule", variable_with(0, name="source")),
    ("template-datasource-rule", variable_with(0, label="Where from")),
    ("template-datasource-rule", variable_with(0, type="custom")),
    ("template-job-rule", variable_with(1, name="jobs")),
    ("template-job-rule", variable_with(1, multi=False)),
    ("template-job-rule", variable_with(1, allValue=".*")),
    ("template-instance-rule", variable_with(2, datasource=FIXED)),
    ("template-instance-rule", variable_with(2, type="custom")),
    ("template-label-promql-rule", variable_with(1, query="label_value(up, job)")),
    ("template-label-promql-rule", variable_with(1, query="label_values(up{, job)")),
    ("template-on-time-change-reload-rule", variable_with(1, refresh=1)),
    ("panel-datasource-rule", panel_with(datasource=FIXED)),
    ("panel-title-description-rule", panel_with(description="")),
    ("panel-title-description-rule", panel_with(title="")),
    ("panel-units-rule", unit("seconds")),
    ("panel-no-targets-rule", panel_with(targets=[])),
    ("target-promql-rule", with_query("sum by (job (up)")),
    ("target-promql-rule", with_query("")),
    (
        "target-logql-rule",
        lambda board: next(targets(board))[1].update(datasource={"type": "loki"}),
    ),
    ("target-logql-auto-rule", with_query(f"rate(up{{{CHOSEN}}}[$__auto])")),
    ("target-rate-interval-rule", with_query(f"rate(a_total{{{CHOSEN}}}[5m])")),
    ("target-rate-interval-rule", with_query(f"irate(a_total{{{CHOSEN}}}[$__range])")),
    ("target-job-rule", with_query('up{instance=~"$instance"}')),
    ("target-job-rule", with_query('up{job="$job",instance=~"$instance"}')),
    ("target-instance-rule", with_query(f'up{{{CHOSEN}}} / on (job) up{{job=~"$job"}}')),
    ("target-counter-agg-rule", with_query(f"sum(a_total{{{CHOSEN}}})")),
    ("target-counter-agg-rule", with_query(f"max_over_time(a_total{{{CHOSEN}}}[1h])")),
    ("uneditable-dashboard-rule", lambda board: board.update(editable=True)),
    ("uneditable-dashboard-rule", lambda board: board.pop("editable")),
]


@pytest.mark.parametrize(("rule", "fault"), FAULTS, ids=[name for name, _ in FAULTS])
def test_a_fault_breaks_its_rule(rule: str, fault: Callable[[Json], object]) -> None:
    broken = copy.deepcopy(OVERVIEW)
    fault(broken)
    assert list(RULES[rule](broken)) != []


def test_every_rule_is_broken_once() -> None:
    assert {rule for rule, _ in FAULTS} == RULES.keys()


def test_no_exemption_is_unused() -> None:
    used = {
        selector.name or ""
        for dashboard in dashboards().values()
        for _, target in targets(dashboard)
        for selector, _ in selectors(
            target["expr"].replace("$__rate_interval", "1m").replace("$__range", "1h")
        )
    }
    for label, names in EXEMPT.items():
        for name in names:
            assert any(metric.startswith(name) for metric in used), (
                f"{name} no longer needs {label}"
            )
