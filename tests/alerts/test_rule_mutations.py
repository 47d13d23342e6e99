"""The rules' tests notice each small change of a threshold, a comparison or a duration."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alerts.mutants import mutants
from tests.alerts.shipped_rules import Case, Rule, alerts, cases, promtool, seconds

UNNOTICEABLE = {"SlowQueries": r"> -> >=", "DiskWillFill": r"3600\) < -> <="}
"""By alert, changes that no series can show: sums and predictions of floats do not meet a limit
exactly."""

LIMITS = "slo-limits.test.yml"
"""Gives the burn alerts their recorded series, so that no days have to be gone through."""

UNCHANGED = "unchanged"
_FAILURE = re.compile(r"alertname: (\w+), time:")


def _alone(rule: Rule) -> list[Case]:
    """Return the cases of one rule, those first that promtool evaluates fastest."""
    found = [case for case in cases() if case.alert == rule.name]
    return sorted([case for case in found if case.file.name == LIMITS] or found, key=_evaluations)


def _evaluations(case: Case) -> float:
    last = max(seconds(check["eval_time"]) for check in case.text["alert_rule_test"])
    return last / seconds(case.evaluation_interval)


def _failing(folder: Path, case: Case, rules: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Run the case against each of the rules, in one run, and return the names of those it fails."""
    folder.mkdir()
    renamed = [{**rule, "alert": name} for name, rule in rules.items()]
    checks = [
        {**check, "alertname": name} for check in case.text["alert_rule_test"] for name in rules
    ]
    rules_file, test_file = folder / "rules.yml", folder / "case.test.yml"
    _dump(rules_file, {"groups": [{"name": "mutants", "rules": renamed}]})
    test = {
        "rule_files": [str(rules_file)],
        "evaluation_interval": case.evaluation_interval,
        "tests": [{**case.text, "alert_rule_test": checks}],
    }
    _dump(test_file, test)
    done = promtool("test", "rules", test_file)
    failing = set(_FAILURE.findall(done.stdout + done.stderr))
    # Anything else that fails, such as a rule that cannot be parsed, names no alert.
    assert (done.returncode == 0) == (not failing), done.stdout + done.stderr
    return failing


def _dump(file: Path, document: Mapping[str, Any]) -> None:
    file.write_text(yaml.dump(document, Dumper=_WithoutAliases))


class _WithoutAliases(yaml.CSafeDumper):
    """A dumper that writes an object again where it is used again."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule.name)
def test_each_mutant_of_the_rule_fails_a_test(rule: Rule, tmp_path: Path) -> None:
    excused = UNNOTICEABLE.get(rule.name)
    made = [
        (change, mutant)
        for change, mutant in mutants(rule.text)
        if not (excused and re.search(excused, change))
    ]
    left = {f"mutant{at}": mutant for at, (_, mutant) in enumerate(made)}
    for at, case in enumerate(_alone(rule)):
        # Unchanged, the rule must pass: otherwise every mutant would seem to be noticed.
        failing = _failing(tmp_path / str(at), case, {UNCHANGED: rule.text, **left})
        assert UNCHANGED not in failing, f"{case.file.name}: {case.text['name']}: fails unchanged"
        left = {name: mutant for name, mutant in left.items() if name not in failing}
        if not left:
            return
    changes = [made[int(name.removeprefix("mutant"))][0] for name in left]
    listed = "\n".join(changes)
    assert not changes, f"{len(changes)} of {len(made)} changes fail no test:\n{listed}"
