"""The panel types, each with the options that Grafana would save for it."""

from collections.abc import Sequence
from typing import Any

from .baselines import Limits
from .links import runbook
from .queries import Query

Panel = dict[str, Any]
Words = dict[int, tuple[str, str]]
"""The text and colour that a value is shown with."""

VERSION = "11.6.0"
"""The Grafana version that would have saved these options; newer versions migrate them."""

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
PLAIN: Limits = ((None, "text"),)

DOWN_UP: Words = {0: ("Down", "red"), 1: ("Up", "green")}
NO_YES: Words = {0: ("No", "red"), 1: ("Yes", "green")}
FAILED_OK: Words = {0: ("Failed", "red"), 1: ("OK", "green")}


def targets(queries: Sequence[Query], **more: Any) -> list[dict[str, Any]]:
    """Return the queries in Grafana's format."""
    return [
        {
            "datasource": SOURCE,
            "refId": chr(ord("A") + number),
            "editorMode": "code",
            "expr": query.expr,
            "legendFormat": query.legend,
            **more,
        }
        for number, query in enumerate(queries)
    ]


def mappings(words: Words | None) -> list[dict[str, Any]]:
    """Return mappings that show words and colours instead of numbers."""
    if not words:
        return []
    options = {
        str(value): {"index": index, "text": text, "color": colour}
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    return [{"type": "value", "options": options}]


def steps(limits: Limits) -> dict[str, Any]:
    """Return limits in Grafana's format."""
    listed = [{"value": value, "color": colour} for value, colour in limits]
    return {"mode": "absolute", "steps": listed}


def panel(kind: str, title: str, description: str, **more: Any) -> Panel:
    """Return the parts that all panel types share. `runbooks` names alerts on the same subject."""
    size = more.pop("size")
    runbooks: tuple[str, ...] = more.pop("runbooks")
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "pluginVersion": VERSION,
        "gridPos": {"w": size[0], "h": size[1]},
        **({"links": [runbook(alert) for alert in runbooks]} if runbooks else {}),
        **more,
    }


def graph(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    limits: Limits | None = None,
    size: tuple[int, int] = (12, 8),
    runbooks: tuple[str, ...] = (),
    stacked: bool = False,
    low: float | None = 0,
    high: float | None = None,
    overrides: Sequence[dict[str, Any]] = (),
    no_value: str = "No data",
) -> Panel:
    """Return a graph of values over time."""
    custom: dict[str, Any] = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 30 if stacked else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if limits else "off"},
    }
    defaults: dict[str, Any] = {
        "unit": unit,
        "color": {"mode": "palette-classic-by-name"},
        "custom": custom,
        "mappings": [],
        "noValue": no_value,
        "thresholds": steps(limits or PLAIN),
    }
    if low is not None:
        defaults["min"] = low
    if high is not None:
        defaults["max"] = high
    legend = {
        "displayMode": "table",
        "placement": "bottom",
        "showLegend": True,
        "calcs": ["lastNotNull", "max"],
        "sortBy": "Last *",
        "sortDesc": True,
    }
    return panel(
        "timeseries",
        title,
        description,
        size=size,
        runbooks=runbooks,
        fieldConfig={"defaults": defaults, "overrides": list(overrides)},
        options={"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}},
        targets=targets(queries, range=True, instant=False),
    )


def stat(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    limits: Limits = PLAIN,
    words: Words | None = None,
    size: tuple[int, int] = (4, 5),
    runbooks: tuple[str, ...] = (),
    overrides: Sequence[dict[str, Any]] = (),
    no_value: str = "No data",
) -> Panel:
    """Return a panel with the current value; an instant query leaves out series that are gone."""
    defaults: dict[str, Any] = {
        "unit": unit,
        "color": {"mode": "thresholds"},
        "mappings": mappings(words),
        "noValue": no_value,
        "thresholds": steps(limits),
    }
    options = {
        "colorMode": "value" if limits == PLAIN and not words else "background",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "percentChangeColorMode": "standard",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showPercentChange": False,
        "textMode": "auto" if any(query.legend for query in queries) else "value",
        "wideLayout": True,
    }
    return panel(
        "stat",
        title,
        description,
        size=size,
        runbooks=runbooks,
        fieldConfig={"defaults": defaults, "overrides": list(overrides)},
        options=options,
        targets=targets(queries, range=False, instant=True),
    )


def states(
    title: str,
    description: str,
    words: Words,
    *queries: Query,
    size: tuple[int, int] = (12, 8),
    runbooks: tuple[str, ...] = (),
) -> Panel:
    """Return a timeline of the states of each series."""
    defaults = {
        "unit": "none",
        "color": {"mode": "thresholds"},
        "custom": {"fillOpacity": 80, "lineWidth": 0},
        "mappings": mappings(words),
        "noValue": "No data",
        "thresholds": steps(PLAIN),
    }
    return panel(
        "state-timeline",
        title,
        description,
        size=size,
        runbooks=runbooks,
        fieldConfig={"defaults": defaults, "overrides": []},
        options={
            "alignValue": "left",
            "legend": {
                "displayMode": "list",
                "placement": "bottom",
                "showLegend": False,
                "calcs": [],
            },
            "mergeValues": True,
            "rowHeight": 0.85,
            "showValue": "auto",
            "tooltip": {"mode": "single", "sort": "none"},
        },
        targets=targets(queries, range=True, instant=False),
    )


def heatmap(
    title: str,
    description: str,
    unit: str,
    query: Query,
    size: tuple[int, int] = (12, 8),
    runbooks: tuple[str, ...] = (),
) -> Panel:
    """Return a histogram over time; its query must sum by le."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "cellValues": {"unit": "reqps"},
        "color": {
            "mode": "scheme",
            "scheme": "Oranges",
            "fill": "dark-orange",
            "scale": "exponential",
            "exponent": 0.5,
            "steps": 64,
            "reverse": False,
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": True, "showColorScale": True},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
    }
    return panel(
        "heatmap",
        title,
        description,
        size=size,
        runbooks=runbooks,
        fieldConfig={
            "defaults": {"unit": unit, "custom": {"scaleDistribution": {"type": "linear"}}},
            "overrides": [],
        },
        options=options,
        targets=targets([query], range=True, instant=False, format="heatmap"),
    )


def overridden(name: str, **properties: Any) -> dict[str, Any]:
    """Return an override for the series or column of this name."""
    listed = [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": listed}


def limits_of(name: str, limits: Limits) -> dict[str, Any]:
    """Return limits for a single series."""
    return overridden(name, thresholds=steps(limits))


def dashed(name: str) -> dict[str, Any]:
    """Return an override for a series that is a limit of the others, so it is not stacked."""
    return overridden(
        name,
        custom__stacking={"mode": "none", "group": "A"},
        custom__lineStyle={"fill": "dash", "dash": [8, 8]},
        custom__fillOpacity=0,
        color={"mode": "fixed", "fixedColor": "red"},
    )
