"""Checks the dashboards against Grafana's own types: the compiler knows every key and enum value."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.grafana.dashboards import Json, dashboards
from tests.support.tsc import compiled

HERE = Path(__file__).parent / "types"
Place = tuple[str | int, ...]


def literal(dashboard: Json) -> str:
    """Return a TypeScript file that holds the dashboard as a literal of its type."""
    return (
        'import type { AliaportDashboard } from "./aliaport.js";\n'
        f"export const dashboard: AliaportDashboard = {json.dumps(dashboard, indent=1)};\n"
    )


def complaints(folder: Path, written: dict[str, Json]) -> dict[str, list[str]]:
    """Return the compiler's complaints, by dashboard."""
    shutil.copy(HERE / "aliaport.ts", folder)
    sources = {name: literal(dashboard) for name, dashboard in written.items()}
    return compiled(folder, HERE / "node_modules", sources)


def changed(dashboard: Json, place: Place, value: Any) -> Json:
    """Return a copy with one value changed."""
    wrong = copy.deepcopy(dashboard)
    here: Any = wrong
    for key in place[:-1]:
        here = here[key]
    here[place[-1]] = value
    return wrong


def first(kind: str) -> Place:
    """Return the path of the first panel of a kind in the combined dashboards."""
    return ("panels", next(i for i, panel in enumerate(ALL["panels"]) if panel["type"] == kind))


ALL = dashboards()["aliaport-overview"]
ALL["panels"] += dashboards()["aliaport-system"]["panels"]
ALL["panels"] += dashboards()["aliaport-probes"]["panels"]
GRAPH, STAT, HEATMAP, TABLE = first("timeseries"), first("stat"), first("heatmap"), first("table")
STATES, VARIABLE, LINK = first("state-timeline"), ("templating", "list", 1), ("links", 0)
WRONG: dict[str, tuple[Place, Any]] = {
    "key of a dashboard": (("scheemaVersion",), 41),
    "editable": (("editable",), True),
    "number as text": (("schemaVersion",), "41"),
    "graphTooltip": (("graphTooltip",), 3),
    "kind of a panel": ((*GRAPH, "type"), "graph"),
    "key of a panel": ((*GRAPH, "titel"), "x"),
    "unit's key": ((*GRAPH, "fieldConfig", "defaults", "unt"), "s"),
    "unit": ((*GRAPH, "fieldConfig", "defaults", "unit"), 1),
    "stacking": ((*GRAPH, "fieldConfig", "defaults", "custom", "stacking", "mode"), "stacked"),
    "custom key": ((*GRAPH, "fieldConfig", "defaults", "custom", "fillOpaque"), 10),
    "threshold": ((*GRAPH, "fieldConfig", "defaults", "thresholds", "steps", 0, "colour"), "red"),
    "colour's mode": ((*GRAPH, "fieldConfig", "defaults", "color", "mode"), "palette"),
    "legend": ((*GRAPH, "options", "legend", "placement"), "top"),
    "tooltip": ((*GRAPH, "options", "tooltip", "mode"), "all"),
    "key of a query": ((*GRAPH, "targets", 0, "expression"), "up"),
    "fixed data source": ((*GRAPH, "targets", 0, "datasource", "uid"), "aliaport-prometheus"),
    "stat's colours": ((*STAT, "options", "colorMode"), "backgroud"),
    "option of another kind": ((*STAT, "options", "legend"), {}),
    "mapping": ((*STAT, "fieldConfig", "defaults", "mappings", 0, "type"), "values"),
    "heatmap's scale": ((*HEATMAP, "options", "color", "scale"), "log"),
    "heatmap's key": ((*HEATMAP, "options", "yAxis", "units"), "s"),
    "table's cells": ((*TABLE, "options", "cellHeight"), "small"),
    "state timeline's alignment": ((*STATES, "options", "alignValue"), "middle"),
    "type of a variable": ((*VARIABLE, "type"), "querry"),
    "key of a variable": ((*VARIABLE, "includeAl"), True),
    "refresh of a variable": ((*VARIABLE, "refresh"), 3),
    "type of a link": ((*LINK, "type"), "dashboard"),
    "key of an annotation": (("annotations", "list", 1, "titelFormat"), "x"),
}


@pytest.mark.needs("tsc_grafana")
def test_every_dashboard_has_grafanas_type(tmp_path: Path) -> None:
    assert complaints(tmp_path, {**dashboards(), "all": ALL}) == {}


@pytest.mark.needs("tsc_grafana")
def test_every_mistake_is_noticed(tmp_path: Path) -> None:
    written = {
        f"wrong-{number}": changed(ALL, *fault) for number, fault in enumerate(WRONG.values())
    }
    found = complaints(tmp_path, written)
    unnoticed = [name for number, name in enumerate(WRONG) if f"wrong-{number}" not in found]
    assert unnoticed == []
