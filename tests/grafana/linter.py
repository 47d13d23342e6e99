"""The seventeen rules of Grafana's dashboard-linter, a Go program that is not available here.

Written from the description of the rules, and partly stricter: the linter checks four panel types,
this checks all.
"""

import re
from collections.abc import Callable, Iterator

import promql_parser as promql

from tests.grafana import promql as tree
from tests.grafana.dashboards import VARIABLES, Json, panels, substituted, targets, variable

UNITS = {
    *("none", "string", "short", "percent", "percentunit", "bytes", "s", "dtdurations"),
    *("reqps", "ops", "dateTimeFromNow", "dateTimeAsLocalNoDateIfToday"),
}
"""The units of Grafana that are in use here."""

EXEMPT = {
    "job": {
        "ALERTS": "an alert concerns the service, whatever its job",
        "ALERTS_FOR_STATE": "an alert concerns the service, whatever its job",
        "slo:objective:ratio": "an objective has no job",
    },
    "instance": {
        "ALERTS": "an alert concerns the service, whatever its instance",
        "ALERTS_FOR_STATE": "an alert concerns the service, whatever its instance",
        "slo:": "recorded over all instances",
    },
}
OUTSIDE = "probe_success"
"""Its job belongs to blackbox exporter and its instance is an address: the dashboards of the service
have no variables for them."""

DATA_SOURCES = {"$datasource", "${datasource}"}
RATE_INTERVAL = "123456789s"
FUNCTIONS = {"label_names", "label_values", "metrics", "query_result"}
Problems = Iterator[str]


def read(expr: str) -> promql.Expr | None:
    """Return the tree, or None if the expression is invalid, which another rule reports."""
    try:
        return tree.parsed(substituted(expr, {**VARIABLES, "$__rate_interval": RATE_INTERVAL}))
    except ValueError:
        return None


def source_of(thing: Json) -> object:
    """Return the uid of a data source."""
    return (thing.get("datasource") or {}).get("uid")


def template_datasource(dashboard: Json) -> Problems:
    found = [entry for entry in dashboard["templating"]["list"] if entry["type"] == "datasource"]
    if [entry["query"] for entry in found] != ["prometheus"]:
        yield "there must be one variable for the data source, of Prometheus"
    for entry in found:
        if entry["name"] not in ("datasource", "prometheus_datasource"):
            yield f"the data source is called {entry['name']}"
        if entry["label"] not in ("Data source", "Prometheus data source"):
            yield f"the data source is labelled {entry['label']}"


def template(dashboard: Json, name: str) -> Problems:
    found = variable(dashboard, name)
    if found is None:
        yield f"there is no variable {name}"
        return
    wanted = {"type": "query", "label": name.title(), "multi": True, "allValue": ".+"}
    for key, value in wanted.items():
        if found.get(key) != value:
            yield f"the variable {name} has {key} {found.get(key)!r}, not {value!r}"
    if source_of(found) not in DATA_SOURCES:
        yield f"the variable {name} has a fixed data source"


def template_label_promql(dashboard: Json) -> Problems:
    for entry in dashboard["templating"]["list"]:
        if entry["type"] != "query":
            continue
        call = re.fullmatch(r"(\w+)\((?:(.+), *)?(\w+)\)", entry["query"])
        if call is None or call[1] not in FUNCTIONS:
            yield f"the variable {entry['name']} has no such query: {entry['query']}"
        elif call[2] and read(call[2]) is None:
            yield f"the variable {entry['name']} has bad PromQL: {call[2]}"


def template_on_time_change_reload(dashboard: Json) -> Problems:
    for entry in dashboard["templating"]["list"]:
        if entry["type"] == "query" and entry.get("refresh") != 2:
            yield f"the variable {entry['name']} is not reloaded when the time changes"


def panel_datasource(dashboard: Json) -> Problems:
    for panel in panels(dashboard):
        if source_of(panel) not in DATA_SOURCES:
            yield f"{panel['title']} has a fixed data source"


def panel_title_description(dashboard: Json) -> Problems:
    for panel in panels(dashboard):
        if not panel.get("title") or not panel.get("description"):
            yield f"panel {panel['id']} has no title or no description"


def panel_units(dashboard: Json) -> Problems:
    for panel in panels(dashboard):
        unit = panel["fieldConfig"]["defaults"].get("unit")
        if unit not in UNITS:
            yield f"{panel['title']} has the unit {unit}"


def panel_no_targets(dashboard: Json) -> Problems:
    for panel in panels(dashboard):
        if not panel.get("targets"):
            yield f"{panel['title']} has no query"


def target_promql(dashboard: Json) -> Problems:
    for panel, target in targets(dashboard):
        try:
            tree.parsed(substituted(target["expr"]))
        except ValueError as problem:
            yield f"{panel['title']}: {problem}: {target['expr']}"


def target_logql(dashboard: Json) -> Problems:
    """Report queries in other languages than PromQL: no Loki is used here."""
    for panel, target in targets(dashboard):
        if (target.get("datasource") or {}).get("type") != "prometheus":
            yield f"{panel['title']} does not ask Prometheus"


def target_logql_auto(dashboard: Json) -> Problems:
    for panel, target in targets(dashboard):
        if "$__auto" in target["expr"]:
            yield f"{panel['title']}: $__auto is Loki's, use $__rate_interval"


def target_rate_interval(dashboard: Json) -> Problems:
    magic = promql.parse_duration(RATE_INTERVAL)
    for panel, target in targets(dashboard):
        root = read(target["expr"])
        for node, above in tree.walked(root) if root else ():
            if not isinstance(node, promql.MatrixSelector) or not above:
                continue
            call = above[-1]
            if not isinstance(call, promql.Call):
                yield f"{panel['title']}: a range without a function"
            elif call.func.name in ("rate", "irate") and node.range != magic:
                yield f"{panel['title']}: {call.func.name} without $__rate_interval"


def target_label(dashboard: Json, label: str) -> Problems:
    for panel, target in targets(dashboard):
        if read(target["expr"]) is None:
            continue
        for selector, _ in tree.selectors(
            substituted(target["expr"], {"$__range": "1h", "$__rate_interval": "1m"})
        ):
            name = selector.name or ""
            if any(
                name == prefix or (prefix.endswith(":") and name.startswith(prefix))
                for prefix in EXEMPT[label]
            ):
                continue
            if name == OUTSIDE and dashboard["uid"] != "aliaport-monitoring":
                continue
            if (label, promql.MatchOp.Re, f"${label}") not in [
                (entry, op, value) for entry, op, value in tree.matchers(selector)
            ]:
                yield f'{panel["title"]}: {name} has no {label}=~"${label}"'


def target_counter_agg(dashboard: Json) -> Problems:
    for panel, target in targets(dashboard):
        root = read(target["expr"])
        for node, above in tree.walked(root) if root else ():
            if not isinstance(node, promql.VectorSelector):
                continue
            if not (node.name or "").endswith("_total"):
                continue
            call = above[-2] if len(above) > 1 else None
            if not isinstance(call, promql.Call) or call.func.name not in (
                "rate",
                "irate",
                "increase",
            ):
                yield f"{panel['title']}: the counter {node.name} is shown without rate or increase"


def uneditable(dashboard: Json) -> Problems:
    if dashboard.get("editable", True):
        yield "it can be edited"


RULES: dict[str, Callable[[Json], Problems]] = {
    "template-datasource-rule": template_datasource,
    "template-job-rule": lambda dashboard: template(dashboard, "job"),
    "template-instance-rule": lambda dashboard: template(dashboard, "instance"),
    "template-label-promql-rule": template_label_promql,
    "template-on-time-change-reload-rule": template_on_time_change_reload,
    "panel-datasource-rule": panel_datasource,
    "panel-title-description-rule": panel_title_description,
    "panel-units-rule": panel_units,
    "panel-no-targets-rule": panel_no_targets,
    "target-promql-rule": target_promql,
    "target-logql-rule": target_logql,
    "target-logql-auto-rule": target_logql_auto,
    "target-rate-interval-rule": target_rate_interval,
    "target-job-rule": lambda dashboard: target_label(dashboard, "job"),
    "target-instance-rule": lambda dashboard: target_label(dashboard, "instance"),
    "target-counter-agg-rule": target_counter_agg,
    "uneditable-dashboard-rule": uneditable,
}
