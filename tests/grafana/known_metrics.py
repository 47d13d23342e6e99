"""Which metrics there are, by the project's own lists and rules."""

import functools
import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
ALWAYS = frozenset({"job", "instance"})


@functools.cache
def own() -> dict[str, dict[str, Any]]:
    """Aliaport's, by name, histograms by the names of their parts; each with its labels."""
    listed: dict[str, dict[str, Any]] = tomllib.loads((DEPLOY / "metrics.toml").read_text())
    found: dict[str, dict[str, Any]] = {}
    for name, metric in listed.items():
        labels = ALWAYS | set(metric["labels"])
        if metric["type"] != "histogram":
            found[name] = {"type": metric["type"], "labels": labels}
            continue
        found[f"{name}_bucket"] = {"type": "counter", "labels": labels | {"le"}}
        found[f"{name}_count"] = found[f"{name}_sum"] = {"type": "counter", "labels": labels}
    return found


@functools.cache
def foreign() -> set[str]:
    """Those of other programs: what rules use, and what only dashboards do."""
    files = (DEPLOY / "metrics-foreign.toml", DEPLOY / "grafana/metrics-foreign.toml")
    return {
        name
        for file in files
        for program in tomllib.loads(file.read_text()).values()
        for name in program["metrics"]
    }


@functools.cache
def rules() -> list[dict[str, Any]]:
    """Every rule of Prometheus."""
    return [
        rule
        for file in sorted((DEPLOY / "prometheus").glob("*.rules.yml"))
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]


@functools.cache
def recorded() -> dict[str, frozenset[str]]:
    """What rules record, with its labels."""
    found: dict[str, frozenset[str]] = {}
    for rule in rules():
        if name := rule.get("record"):
            summed = re.findall(r"\bby \(([^)]*)\)", rule["expr"])
            labels = {label.strip() for each in summed for label in each.split(",")}
            found[name] = found.get(name, frozenset()) | labels | set(rule.get("labels", {}))
    return found


def alerts() -> dict[str, str]:
    """Every alert with the uid of the dashboard that its notification leads to."""
    return {
        rule["alert"]: rule["annotations"]["dashboard_url"].rpartition("/")[2]
        for rule in rules()
        if "alert" in rule
    }
