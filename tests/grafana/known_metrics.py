"""The known metrics, from the project's own lists and rules."""

import functools
import re
from typing import Any

from tests.alerts import shipped_rules
from tests.support import metric_lists

ALWAYS = frozenset({"job", "instance"})


@functools.cache
def own() -> dict[str, dict[str, Any]]:
    """Return Aliaport's metrics with their labels, by name; histograms by the names of their parts."""
    found: dict[str, dict[str, Any]] = {}
    for name, metric in metric_lists.own_series().items():
        histogram = metric["type"] == "histogram"
        bound = {"le"} if histogram and name.endswith("_bucket") else set()
        kind = "counter" if histogram else metric["type"]
        found[name] = {"type": kind, "labels": ALWAYS | set(metric["labels"]) | bound}
    return found


@functools.cache
def third_party() -> set[str]:
    """Return the metrics of other programs that rules or dashboards use."""
    return {*metric_lists.third_party(), *metric_lists.third_party(metric_lists.DASHBOARDS_ONLY)}


def rules() -> list[dict[str, Any]]:
    """Return every rule of Prometheus."""
    return [rule.text for rule in shipped_rules.rules()]


@functools.cache
def recorded() -> dict[str, frozenset[str]]:
    """Return the series that rules record, with their labels."""
    found: dict[str, frozenset[str]] = {}
    for rule in rules():
        if name := rule.get("record"):
            summed = re.findall(r"\bby \(([^)]*)\)", rule["expr"])
            labels = {label.strip() for group in summed for label in group.split(",")}
            found[name] = found.get(name, frozenset()) | labels | set(rule.get("labels", {}))
    return found


def alerts() -> dict[str, str]:
    """Return every alert with the uid of the dashboard that its notification links to."""
    return {
        rule["alert"]: rule["annotations"]["dashboard_url"].rpartition("/")[2]
        for rule in rules()
        if "alert" in rule
    }
