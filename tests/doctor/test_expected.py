"""Doctor expects what deploy/ ships, and every page that it names exists."""

import ast
import re
from pathlib import Path

import yaml

from aliaport import doctor
from aliaport.doctor import delivery
from aliaport.doctor.expected import DASHBOARDS, DATA_SOURCE, LATENCY, RULES
from aliaport.doctor.running import CHECKS
from tests.alerts.shipped_rules import rules
from tests.grafana.dashboards import dashboards

ROOT = Path(__file__).parents[2]
PACKAGE = Path(doctor.__path__[0])


def test_the_rules_match_deploy() -> None:
    shipped: dict[str, list[str]] = {}
    for rule in rules():
        shipped.setdefault(rule.group, []).extend([rule.name] if rule.is_alert else [])
    assert {group: list(alerts) for group, alerts in RULES.items()} == shipped


def test_the_baselines_match_the_objectives() -> None:
    text = (ROOT / "deploy/prometheus/slo.rules.yml").read_text()
    bounds = re.findall(r'_bucket\{method="(\w+)",endpoint="([^"]+)",le="([\d.]+)"\}\[5m\]', text)
    assert {(method, path): float(bound) for method, path, bound in bounds} == LATENCY


def test_the_dashboards_and_the_data_source_match_deploy() -> None:
    assert set(DASHBOARDS) == {board["uid"] for board in dashboards().values()}
    file = ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml"
    (source,) = yaml.safe_load(file.read_text())["datasources"]
    assert source["uid"] == DATA_SOURCE


def test_every_runbook_that_is_named_exists() -> None:
    pages = {page.stem for page in (ROOT / "deploy/runbooks").glob("*.md")}
    named = {
        node.value
        for file in PACKAGE.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"([A-Z]+[a-z]+){2,}", node.value)
    }
    assert "AliaportDown" in named, "the search finds runbooks"
    assert named - {delivery.NAME} <= pages


def test_every_deploy_file_that_is_named_exists() -> None:
    for file in PACKAGE.glob("*.py"):
        for word in file.read_text().replace('"', " ").replace(",", " ").split():
            path = word.strip("`.:;)(")
            if path.startswith("deploy/") and "*" not in path and "{" not in path:
                assert (ROOT / path).exists(), f"{file.name}: {path}"


def test_ids_are_unique_and_stable_in_form() -> None:
    ids = [check.id for check in CHECKS]
    assert len(set(ids)) == len(ids) == 31
    assert all(name.replace(".", "").replace("_", "").isalpha() for name in ids)
