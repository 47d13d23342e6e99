"""Dashboards: their variables, annotations and links, and the layout of their panels."""

import json
from dataclasses import dataclass
from typing import Any

from .links import TAG, dashboard_links
from .panels import SOURCE, Panel
from .queries import of

SCHEMA = 41
"""The schema of Grafana 11.6; newer versions migrate it when they load a dashboard."""

WIDTH = 24


@dataclass(frozen=True)
class Section:
    """Panels under one heading, placed from left to right, line by line."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Board:
    """One dashboard. `targets` selects the series whose job and instance users can choose."""

    uid: str
    title: str
    description: str
    targets: str
    sections: tuple[Section, ...]
    since: str = "now-6h"


def text(board: Board, prometheus: str) -> str:
    """Return the file of a dashboard."""
    return json.dumps(dashboard(board, prometheus), indent=2, ensure_ascii=False) + "\n"


def dashboard(board: Board, prometheus: str) -> dict[str, Any]:
    """Return a dashboard in Grafana's format."""
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.description,
        "tags": [TAG],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": False,
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,
        "liveNow": False,
        "refresh": "30s",
        "time": {"from": board.since, "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "weekStart": "monday",
        "links": dashboard_links(),
        "annotations": {"list": annotations()},
        "templating": {"list": variables(board, prometheus)},
        "panels": placed(board.sections),
    }


def variables(board: Board, prometheus: str) -> list[dict[str, Any]]:
    """Return the variables. There is none for `env`, because Prometheus adds that label only to
    alerts: each environment is a separate data source."""
    chosen = board.targets
    return [
        {
            "type": "datasource",
            "name": "datasource",
            "label": "Data source",
            "query": "prometheus",
            "current": {"text": "Prometheus", "value": "aliaport-prometheus"},
            "hide": 0,
            "includeAll": False,
            "multi": False,
            "options": [],
            "refresh": 1,
            "regex": "",
            "skipUrlSync": False,
        },
        _choice("job", f"label_values({chosen}, job)"),
        _choice("instance", f"label_values({_of_chosen_jobs(chosen)}, instance)"),
        {
            "type": "textbox",
            "name": "prometheus",
            "label": "Address of Prometheus",
            "description": "The address in links to runbooks and alerts.",
            "query": prometheus,
            "current": {"text": prometheus, "value": prometheus},
            "hide": 2,
            "options": [],
            "skipUrlSync": False,
        },
    ]


def _of_chosen_jobs(selector: str) -> str:
    name, brace, matchers = selector.partition("{")
    inner = matchers.removesuffix("}") + "," if brace else ""
    return f'{name}{{{inner}job=~"$job"}}'


def _choice(name: str, query: str) -> dict[str, Any]:
    return {
        "type": "query",
        "name": name,
        "label": name.title(),
        "datasource": SOURCE,
        "query": query,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "allValue": ".+",
        "hide": 0,
        "includeAll": True,
        "multi": True,
        "options": [],
        "refresh": 2,
        "regex": "",
        "skipUrlSync": False,
        "sort": 1,
    }


def annotations() -> list[dict[str, Any]]:
    """Return the marks in all graphs: starts of the program and firing alerts."""
    started = (
        f"1000 * {of('aliaport_start_timestamp_seconds')}"
        f" * on (job, instance) group_left (version) {of('aliaport_build_info')}"
    )
    firing = 'ALERTS{alertstate="firing",severity=~"critical|warning"}'
    return [
        {
            "builtIn": 1,
            "datasource": {"type": "grafana", "uid": "-- Grafana --"},
            "enable": True,
            "hide": True,
            "iconColor": "rgba(0, 211, 255, 1)",
            "name": "Annotations & Alerts",
            "type": "dashboard",
        },
        {
            **_mark("Starts and deploys", started, "blue"),
            "titleFormat": "{{version}} started",
            "textFormat": "{{instance}}",
            "tagKeys": "version",
            "useValueForTime": True,
        },
        {
            **_mark("Firing alerts", firing, "red"),
            "titleFormat": "{{alertname}}",
            "textFormat": "{{severity}} {{job}} {{instance}}",
            "tagKeys": "severity",
        },
    ]


def _mark(name: str, expr: str, colour: str) -> dict[str, Any]:
    return {
        "name": name,
        "datasource": SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": colour,
        "target": {"refId": "Anno", "expr": expr, "interval": "60s"},
    }


def placed(sections: tuple[Section, ...]) -> list[dict[str, Any]]:
    """Return all panels with their IDs and positions."""
    panels: list[dict[str, Any]] = []
    top = 0
    for section in sections:
        panels.append(
            {
                "type": "row",
                "id": len(panels) + 1,
                "title": section.title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1},
                "panels": [],
            }
        )
        top += 1
        left = height = 0
        for panel in section.panels:
            size = panel["gridPos"]
            if left + size["w"] > WIDTH:
                top, left, height = top + height, 0, 0
            place = {"x": left, "y": top, **size}
            panels.append({**panel, "id": len(panels) + 1, "gridPos": place})
            left, height = left + size["w"], max(height, size["h"])
        top += height
    return panels
