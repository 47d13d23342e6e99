"""The shipped rules: valid, complete, tested, and using only exported metrics."""

import re
from pathlib import Path

import pytest
import yaml

from tests.alerts.rule_cases import cut_down
from tests.alerts.shipped_rules import (
    ABSENT,
    PROMETHEUS,
    ROOT,
    RULE_FILES,
    TEST_FILES,
    Rule,
    alerts,
    cases,
    promtool,
    rules,
)
from tests.support import metric_lists

pytestmark = pytest.mark.computes

SPECIFIED = {
    "HighErrorRate": "critical",
    "HighResponseTime": "warning",
    "DatabaseDown": "critical",
    "HighCPUUsage": "warning",
    "HighMemoryUsage": "warning",
    "CurrencySyncFailed": "warning",
}
ALWAYS = {"Watchdog", "AliaportAbsent", "TargetAbsent"}
"""The alerts that fire if Prometheus has no data at all."""

_METRIC = re.compile(r"\b(?:(?:aliaport|node|pg|probe|prometheus|alertmanager|slo)[_:][\w:]+|up)\b")
_STRING = re.compile(r'\\?"[^"]*"')
_SUFFIX = re.compile(r"_(bucket|count|sum)$")


@pytest.mark.needs("promtool")
def test_promtool_accepts_the_configuration_and_the_rules() -> None:
    done = promtool("check", "config", PROMETHEUS / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", *RULE_FILES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("file", TEST_FILES, ids=lambda file: file.name)
def test_the_rules_pass_their_promtool_tests(file: Path, tmp_path: Path) -> None:
    files = [file] if file.name == ABSENT else cut_down(file, tmp_path)
    done = promtool("test", "rules", *files)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    for rule in alerts():
        seen = {case.fires for case in cases() if case.alert == rule.name}
        wanted = {True} if rule.name == "Watchdog" else {True, False}
        assert seen == wanted, f"{rule.name}: add a case that fires, or one that never does"


def test_absent_data_is_tested_for_each_alert() -> None:
    document = yaml.safe_load((Path(__file__).parent / "rules" / ABSENT).read_text())
    (group,) = document["tests"]
    assert {Path(name).name for name in document["rule_files"]} == {f.name for f in RULE_FILES}
    expected = {c["alertname"]: bool(c["exp_alerts"]) for c in group["alert_rule_test"]}
    assert expected == {rule.name: rule.name in ALWAYS for rule in alerts()}


def test_the_specified_alerts_are_there_with_their_severity() -> None:
    found = {
        rule.name: rule.text["labels"]["severity"]
        for rule in alerts()
        if rule.file.name == "alert.rules.yml"
    }
    assert found == SPECIFIED


def test_names_are_unique() -> None:
    names = [rule.name for rule in alerts()]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule.name)
def test_an_alert_says_what_where_and_what_to_do(rule: Rule) -> None:
    notes = rule.text["annotations"]
    assert rule.text["labels"]["severity"] in ("critical", "warning", "info", "none")
    assert set(notes) == {"summary", "description", "runbook_url", "dashboard_url"}
    assert len(notes["summary"]) < 110, "people read it on a phone"
    for value in re.findall(r"{{-? \$value([^}]*)}}", notes["summary"] + notes["description"]):
        assert re.search(r"humanize|toTime|printf", value), "a raw float says nothing"
    base, runbook = notes["runbook_url"].split("/user/")
    assert base == "{{ $externalURL }}"
    assert runbook == f"runbooks/{rule.name}.md"
    assert (ROOT / "deploy" / runbook).is_file(), f"{rule.name} has no runbook"
    base, dashboard = notes["dashboard_url"].split("/d/")
    assert base == "{{ $externalLabels.grafana }}"
    assert (ROOT / f"deploy/grafana/dashboards/{dashboard}.json").is_file()


def test_rules_use_only_metrics_that_are_listed() -> None:
    known = {*metric_lists.own(), *metric_lists.third_party()}
    known |= {rule.name for rule in rules() if not rule.is_alert}
    for rule in rules():
        texts = [rule.text["expr"], *rule.text.get("annotations", {}).values()]
        used = {
            _SUFFIX.sub("", name) if _SUFFIX.sub("", name) in known else name
            for text in texts
            for name in _METRIC.findall(_STRING.sub('""', text) if text is texts[0] else "")
        }
        for query in re.findall(r'query "((?:[^"\\]|\\.)*)"', " ".join(map(str, texts[1:]))):
            plain = _STRING.sub('""', query.replace('\\"', '"'))
            used |= {_SUFFIX.sub("", name) for name in _METRIC.findall(plain)}
        assert used <= known, f"{rule.name} uses {used - known}, which is in no list"


def test_latency_bounds_are_buckets() -> None:
    buckets = metric_lists.own()["aliaport_http_request_duration_seconds"]["buckets"]
    bounds = {
        float(bound)
        for rule in rules()
        if "request_duration" in rule.text["expr"]
        for bound in re.findall(r'le="([\d.]+)"', rule.text["expr"])
    }
    assert bounds
    assert bounds <= set(buckets), "a bound between two buckets cannot be measured"


def test_the_objectives_are_up_to_date_with_their_generator() -> None:
    source: dict[str, object] = {"__name__": "generate_slo", "__file__": ""}
    exec(compile((PROMETHEUS / "generate-slo").read_text(), "generate-slo", "exec"), source)
    page = source["page"]
    assert callable(page)
    written = (PROMETHEUS / "slo.rules.yml").read_text()
    assert written == page(), "run deploy/prometheus/generate-slo"


def test_alerts_can_leave_prometheus() -> None:
    """Check the rules and Alertmanager in the configuration, which the specification's lacked."""
    configuration = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    assert configuration["rule_files"] == ["*.rules.yml"]
    (manager,) = configuration["alerting"]["alertmanagers"]
    assert manager["static_configs"] == [{"targets": ["alertmanager:9093"]}]
    assert configuration["global"]["external_labels"]["env"] == "${ENVIRONMENT}"
    jobs = {job["job_name"] for job in configuration["scrape_configs"]}
    for rule in rules():
        for job in re.findall(r'job="([^"]+)"', rule.text["expr"]):
            assert job in jobs, f"{rule.name} uses the job {job}, which is not scraped"
