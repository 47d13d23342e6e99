"""The contents of deploy/grafana/dashboards, for tests."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GRAFANA = Path(__file__).parents[2] / "deploy/grafana"
Json = dict[str, Any]

VARIABLES = {
    "$__rate_interval": "1m",
    "$__interval": "15s",
    "$__range": "1h",
    "$job": ".+",
    "$instance": ".+",
}
"""The values that Grafana fills in for an hour of scrapes every 15 seconds, with all chosen."""


def dashboards() -> dict[str, Json]:
    """Return all dashboards by their file name, which is the uid."""
    files = sorted((GRAFANA / "dashboards").glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


def panels(dashboard: Json) -> Iterator[Json]:
    """Yield the panels that show something, also those inside rows."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels", [])
        else:
            yield panel


def targets(dashboard: Json) -> Iterator[tuple[Json, Json]]:
    """Yield each panel with each of its queries."""
    for panel in panels(dashboard):
        for target in panel.get("targets", []):
            yield panel, target


def substituted(expr: str, values: dict[str, str] = VARIABLES) -> str:
    """Return the expression as Prometheus gets it."""
    for name in sorted(values, key=len, reverse=True):
        expr = expr.replace(name, values[name]).replace(f"${{{name[1:]}}}", values[name])
    return expr


def queries(dashboard: Json) -> list[tuple[str, str]]:
    """Return the title of each panel with each expression that Prometheus would get for it."""
    return [(panel["title"], substituted(target["expr"])) for panel, target in targets(dashboard)]


def surroundings(dashboard: Json) -> list[tuple[str, str]]:
    """Return the name and expression of each annotation."""
    return [
        (mark["name"], substituted(mark["target"]["expr"]))
        for mark in dashboard["annotations"]["list"]
        if "target" in mark
    ]


def variable(dashboard: Json, name: str) -> Json | None:
    """Return one of its variables."""
    found = [entry for entry in dashboard["templating"]["list"] if entry["name"] == name]
    return found[0] if found else None
