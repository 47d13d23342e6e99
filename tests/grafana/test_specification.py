"""The panels and the baselines that the specification names."""

import importlib.util
import re
import sys
from importlib.machinery import SourceFileLoader
from types import ModuleType
from typing import Any

import pytest

from tests.grafana.dashboards import dashboards, panels, targets
from tests.support.metric_lists import DEPLOY

PANELS = {
    "Request Rate": ("timeseries", "reqps", "aliaport_http_requests_total"),
    "Response Time (p95)": ("timeseries", "s", "aliaport_http_request_duration_seconds_bucket"),
    "Error Rate": ("timeseries", "percentunit", 'status=~"5.."'),
    "Active Users": ("timeseries", "short", "aliaport_active_users"),
    "Database Connections": ("timeseries", "short", "aliaport_db_connections"),
    "Work Orders (24h)": ("stat", "short", "aliaport_operations_work_orders_created"),
    "Gate Logs (24h)": ("stat", "short", "aliaport_operations_gate_logs"),
    "Currency Sync Success Rate": ("stat", "percent", "aliaport_currency_sync_failure"),
}
SYSTEM = {
    "CPU Usage": ("timeseries", "percentunit", "node_cpu_seconds_total"),
    "Memory Usage": ("timeseries", "percentunit", "node_memory_MemAvailable_bytes"),
    "Disk Usage": ("timeseries", "percentunit", "node_filesystem_avail_bytes"),
    "Request Duration Heatmap": ("heatmap", "s", "aliaport_http_request_duration_seconds_bucket"),
}
LIMITS = {
    ("aliaport-overview", "Error Rate"): (0.01, 0.05),
    ("aliaport-overview", "Client Error Rate"): (0.05,),
    ("aliaport-system", "CPU Usage"): (0.6, 0.8),
    ("aliaport-system", "Memory Usage"): (0.75, 0.85),
    ("aliaport-system", "Disk Usage"): (0.8, 0.95),
    ("aliaport-database", "Connection Pool Used"): (0.8, 0.95),
    ("aliaport-database", "Query Duration (p95)"): (0.1, 1),
    ("aliaport-database", "Slow Queries (>1s)"): (0.001, 0.01),
    ("aliaport-slo", "GET /api/cari"): (0.3, 0.6),
    ("aliaport-slo", "POST /api/cari"): (0.2, 0.4),
    ("aliaport-slo", "GET /api/work-order"): (0.4, 0.8),
    ("aliaport-slo", "POST /auth/login"): (0.2, 0.4),
    ("aliaport-slo", "GET /health"): (0.05, 0.1),
}


def panel_of(uid: str, title: str) -> dict[str, Any]:
    (found,) = (panel for panel in panels(dashboards()[uid]) if panel["title"] == title)
    return found


@pytest.mark.parametrize(
    ("uid", "title", "kind", "unit", "series"),
    [
        (uid, title, *rest)
        for uid, wanted in (("aliaport-overview", PANELS), ("aliaport-system", SYSTEM))
        for title, rest in wanted.items()
    ],
)
def test_the_panels_of_the_specification(
    uid: str, title: str, kind: str, unit: str, series: str
) -> None:
    panel = panel_of(uid, title)
    assert panel["type"] == kind
    assert panel["fieldConfig"]["defaults"]["unit"] == unit
    assert any(series in target["expr"] for target in panel["targets"])


def test_the_titles_of_the_dashboards() -> None:
    assert dashboards()["aliaport-overview"]["title"] == "Aliaport Overview"
    assert dashboards()["aliaport-system"]["title"] == "System Metrics"


@pytest.mark.parametrize(("uid", "title"), LIMITS)
def test_baselines_are_drawn(uid: str, title: str) -> None:
    steps = panel_of(uid, title)["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert steps[0]["value"] is None
    assert tuple(step["value"] for step in steps[1:]) == LIMITS[uid, title]


def test_totals_cover_24_hours_and_come_from_the_database() -> None:
    """Check the queries: increase() of the counters gives fractions and loses data at restarts."""
    for title in ("Work Orders (24h)", "Gate Logs (24h)"):
        (target,) = panel_of("aliaport-overview", title)["targets"]
        assert re.search(r"^max by .* - min by .*min_over_time\(.*\[24h\]", target["expr"])


def test_without_errors_there_is_no_gap() -> None:
    """Check that without any series of errors the ratio is 0, not missing."""
    for target in panel_of("aliaport-overview", "Error Rate")["targets"]:
        assert " or 0 * sum by " in target["expr"]


def test_routes_and_bounds_match_the_objectives() -> None:
    """Compare with the generator of slo.rules.yml, which has them too."""
    rules = generator()
    boards = {
        (objective.endpoint, objective.method): float(objective.bound)
        for objective in rules.OBJECTIVES
    }
    shown = {
        (title.split()[1], title.split()[0]): limits[0]
        for (uid, title), limits in LIMITS.items()
        if uid == "aliaport-slo"
    }
    assert shown == boards
    assert rules.AVAILABILITY == 0.99
    assert {objective.objective for objective in rules.OBJECTIVES} == {0.95}


def test_every_window_of_the_objectives_is_shown() -> None:
    shown = {
        found
        for _, target in targets(dashboards()["aliaport-slo"])
        for found in re.findall(r"slo:error_ratio:rate(\w+)", target["expr"])
    }
    assert shown == set(generator().WINDOWS)


def generator() -> ModuleType:
    """Return deploy/prometheus/generate-slo as a module."""
    loader = SourceFileLoader("generate_slo", str(DEPLOY / "prometheus/generate-slo"))
    spec = importlib.util.spec_from_loader("generate_slo", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["generate_slo"] = module
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
        del sys.modules["generate_slo"]
    return module
