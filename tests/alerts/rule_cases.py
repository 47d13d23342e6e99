"""Test files of promtool cut down to what their cases need: evaluating every rule takes minutes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.alerts.runbooks import selectors
from tests.alerts.shipped_rules import Rule, read_yaml, rules, write_yaml


def cut_down(file: Path, folder: Path) -> list[Path]:
    """Write a test file for each alert in `file`, with the rules of its own, below `folder`."""
    document = read_yaml(file)
    by_alert: dict[str, list[dict[str, Any]]] = {}
    for case in document["tests"]:
        (alert,) = {check["alertname"] for check in case["alert_rule_test"]}
        by_alert.setdefault(alert, []).append(case)
    return [_write(folder / alert, alert, document, tests) for alert, tests in by_alert.items()]


def _write(place: Path, alert: str, document: dict[str, Any], tests: list[dict[str, Any]]) -> Path:
    groups = _groups(alert)
    rules_file, test_file = place.with_suffix(".rules.yml"), place.with_suffix(".test.yml")
    listed = [{"name": name, "rules": own} for name, own in groups.items()]
    write_yaml(rules_file, {"groups": listed})
    order = [name for name in document.get("group_eval_order", ()) if name in groups]
    own = {"rule_files": [str(rules_file)], "tests": tests, "group_eval_order": order}
    write_yaml(test_file, {**document, **own})
    return test_file


def _groups(alert: str) -> dict[str, list[dict[str, Any]]]:
    """Return the alert's rule and all whose series it reads, in their groups and their order."""
    needed = {id(rule) for rule in _with_sources(_rule(alert))}
    groups: dict[str, list[dict[str, Any]]] = {}
    for rule in rules():
        if id(rule) in needed:
            groups.setdefault(rule.group, []).append(rule.text)
    return groups


def _rule(alert: str) -> Rule:
    (found,) = (rule for rule in rules() if rule.is_alert and rule.name == alert)
    return found


def _with_sources(rule: Rule) -> Iterator[Rule]:
    yield rule
    for selector in selectors(rule.text["expr"]):
        for other in rules():
            if not other.is_alert and other.name == selector.name and _may_match(selector, other):
                yield from _with_sources(other)


def _may_match(selector: Any, record: Rule) -> bool:
    """Return False where a label that the rule sets differs from what the selector wants."""
    labels = record.text.get("labels", {})
    return all(
        labels.get(matcher.name, matcher.value) == matcher.value
        for matcher in selector.matchers.matchers
        if matcher.op == matcher.op.Equal
    )
