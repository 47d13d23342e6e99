"""Checks that Prometheus scrapes the service, has all rules, and has an Alertmanager."""

from typing import Any
from urllib.parse import quote

from aliaport.doctor.checks import PROMETHEUS, Check, Run
from aliaport.doctor.expected import LATENCY, RULES
from aliaport.doctor.findings import CheckFailed, Finding, not_checked, passed
from aliaport.doctor.metrics_page import BUILD_INFO

DURATION = "aliaport_http_request_duration_seconds"
MAX_SHOWN = 5


async def is_ready(run: Run) -> Finding:
    """Check that Prometheus serves queries."""
    endpoint = run.prometheus()
    await endpoint.get_ok("/-/ready")
    version = (await _data(run, "status/buildinfo"))["version"]
    return passed(f"ready, version {version}")


async def scrapes(run: Run) -> Finding:
    """Check that every target of the service's job is up and is Aliaport."""
    job = run.targets.job
    up = await _query(run, f'up{{job="{job}"}}')
    builds = await _query(run, f'{BUILD_INFO}{{job="{job}"}}')
    if not up:
        raise CheckFailed(
            f"the job {job} has no targets",
            "add the service to prometheus.yml, or pass the name of its job with --job",
            "AliaportAbsent",
        )
    down = [row["metric"]["instance"] for row in up if row["value"][1] != "1"]
    if down:
        raise CheckFailed(
            f"{len(down)} of {len(up)} targets are down: {_shortened(down)}",
            "fix them; the result of prometheus.targets has the errors",
            "AliaportDown",
        )
    versions = {row["metric"]["instance"]: row["metric"]["version"] for row in builds}
    unknown = [name for row in up if (name := row["metric"]["instance"]) not in versions]
    if unknown:
        raise CheckFailed(
            f"up, but without {BUILD_INFO}: {_shortened(unknown)}",
            f"check what runs there: it is not Aliaport, or {job} started less than a minute ago",
        )
    return passed(f"{len(up)} up, version {', '.join(sorted(set(versions.values())))}")


async def targets(run: Run) -> Finding:
    """Check that every target of every job is up."""
    active = (await _data(run, "targets?state=active"))["activeTargets"]
    down = [
        f"{target['scrapePool']} {_instance(target)}"
        for target in active
        if target["health"] != "up"
    ]
    if active and not down:
        jobs = {target["scrapePool"] for target in active}
        return passed(f"all up; targets: {len(active)}, jobs: {len(jobs)}")
    raise CheckFailed(
        f"{len(down)} of {len(active)} targets are not up: {_shortened(down)}"
        if active
        else "Prometheus has no targets",
        "start them, or correct their addresses in prometheus.yml",
        "TargetDown",
    )


def _instance(target: dict[str, Any]) -> str:
    instance = target["labels"].get("instance", target["scrapeUrl"].partition("?")[0])
    return f"{instance} ({target['lastError'] or target['health']})"


async def rules_loaded(run: Run) -> Finding:
    """Check that all shipped groups and alerts are loaded; others may be loaded too."""
    groups = (await _data(run, "rules"))["groups"]
    loaded = {rule["name"] for group in groups for rule in group["rules"]}
    names = {group["name"] for group in groups}
    missing_groups = [name for name in RULES if name not in names]
    missing = [
        alert
        for group, alerts in RULES.items()
        if group not in missing_groups
        for alert in alerts
        if alert not in loaded
    ]
    if not missing_groups and not missing:
        count = sum(len(alerts) for alerts in RULES.values())
        return passed(f"all {len(RULES)} groups with {count} alerts are loaded")
    parts = [
        f"{kind} {_shortened(names)}"
        for kind, names in (("groups", missing_groups), ("alerts", missing))
        if names
    ]
    raise CheckFailed(
        f"missing: {'; '.join(parts)}",
        "mount deploy/prometheus/*.rules.yml beside prometheus.yml and reload Prometheus",
        "PrometheusConfigReloadFailed",
    )


async def rules_work(run: Run) -> Finding:
    """Check that every rule was evaluated without an error."""
    groups = (await _data(run, "rules"))["groups"]
    rules = [(group["name"], rule) for group in groups for rule in group["rules"]]
    bad = [
        f"{group}/{rule['name']}: {rule.get('lastError') or 'not evaluated yet'}"
        for group, rule in rules
        if rule["health"] != "ok"
    ]
    if rules and not bad:
        return passed(f"all {len(rules)} rules are evaluated without errors")
    raise CheckFailed(
        f"{len(bad)} of {len(rules)} rules are not healthy: {_shortened(bad)}"
        if rules
        else "Prometheus has no rules",
        "fix these rules; if Prometheus has just started, wait a minute and run doctor again",
        "PrometheusRulesFailing",
    )


async def alertmanagers(run: Run) -> Finding:
    """Check that Prometheus has an Alertmanager to send alerts to."""
    active = (await _data(run, "alertmanagers"))["activeAlertmanagers"]
    if active:
        return passed(", ".join(target["url"].partition("?")[0] for target in active))
    raise CheckFailed(
        "Prometheus has no Alertmanager: alerts reach nobody",
        "add `alerting.alertmanagers` as in deploy/prometheus/prometheus.yml",
        "PrometheusAlertmanagerMissing",
    )


async def latency(run: Run) -> Finding:
    """Check the p95 over the last hour of each route that has a baseline."""
    buckets = f'rate({DURATION}_bucket{{job="{run.targets.job}"}}[1h])'
    rows = await _query(run, f"histogram_quantile(0.95, sum by (le, method, endpoint) ({buckets}))")
    p95s = {
        (row["metric"]["method"], row["metric"]["endpoint"]): float(row["value"][1])
        for row in rows
        if row["value"][1] != "NaN"
    }
    measured = {route: p95s[route] for route in LATENCY if route in p95s}
    slow = [
        f"{' '.join(route)} {seconds:.2g} s (at most {LATENCY[route]:g} s)"
        for route, seconds in measured.items()
        if seconds > LATENCY[route]
    ]
    if slow:
        raise CheckFailed(
            f"p95 of the last hour: {_shortened(slow)}",
            "see the dashboard aliaport-slo",
            "LatencyBudgetBurn",
        )
    if not measured:
        return not_checked("no route with a baseline had requests in the last hour")
    shown = [f"{' '.join(route)} {seconds:.2g} s" for route, seconds in measured.items()]
    left = len(LATENCY) - len(measured)
    return passed(
        f"p95 of the last hour: {', '.join(shown)}"
        + (f"; routes without requests: {left}" if left else "")
    )


async def _query(run: Run, expression: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await _data(run, f"query?query={quote(expression)}"))["result"]
    return found


async def _data(run: Run, path: str) -> dict[str, Any]:
    body = await run.prometheus().json(f"/api/v1/{path}")
    found: dict[str, Any] = body["data"]
    return found


def _shortened(names: list[str]) -> str:
    left = len(names) - MAX_SHOWN
    return ", ".join(names[:MAX_SHOWN]) + (f" and {left} more" if left > 0 else "")


CHECKS = (
    Check("prometheus.ready", "Prometheus is ready", is_ready, PROMETHEUS),
    Check("prometheus.scrape", "Prometheus scrapes the service", scrapes, PROMETHEUS),
    Check("prometheus.targets", "Every target is up", targets, PROMETHEUS),
    Check("prometheus.rules", "Alert rules are loaded", rules_loaded, PROMETHEUS),
    Check("prometheus.evaluation", "Rules are evaluated without errors", rules_work, PROMETHEUS),
    Check("prometheus.latency", "Routes meet their latency baselines", latency, PROMETHEUS),
    Check("prometheus.alertmanager", "Prometheus has an Alertmanager", alertmanagers, PROMETHEUS),
)
