"""The rules' tests notice each small change of a threshold, a comparison or a duration."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.alerts.mutants import mutants
from tests.alerts.shipped_rules import Case, Rule, alerts, cases, promtool, seconds, write_yaml

pytestmark = pytest.mark.computes

UNNOTICEABLE = {"SlowQueries": r"> -> >=", "DiskWillFill": r"3600\) < -> <="}
"""Changes that no series can show, by alert: sums and predictions of floats never equal a limit."""

LIMITS = "slo-limits.test.yml"
"""This file gives the burn alerts their recorded series, so that no days must be evaluated."""

WORTH_A_RUN = 60
"""The evaluations of a rule that are worth a run of their own."""

UNCHANGED = "unchanged"
_FAILURE = re.compile(r"alertname: (\w+), time:")


def _batches(rule: Rule) -> Iterator[list[Case]]:
    """Yield the cases of one rule, the fastest first.

    The fastest share a run, because starting promtool takes as long as running one of them.
    """
    found = [case for case in cases() if case.alert == rule.name]
    found = [case for case in found if case.file.name == LIMITS] or found
    batch: list[Case] = []
    for case in sorted(found, key=_evaluations):
        batch.append(case)
        if sum(map(_evaluations, batch)) > WORTH_A_RUN:
            yield batch
            batch = []
    if batch:
        yield batch


def _evaluations(case: Case) -> float:
    last = max(seconds(check["eval_time"]) for check in case.text["alert_rule_test"])
    return last / seconds(case.evaluation_interval)


def _failing(
    folder: Path, batch: Sequence[Case], rules: Mapping[str, Mapping[str, Any]]
) -> set[str]:
    """Run the cases against all the rules at once, and return the names of those that fail one."""
    folder.mkdir()
    renamed = [{**rule, "alert": name} for name, rule in rules.items()]
    rules_file = folder / "rules.yml"
    write_yaml(rules_file, {"groups": [{"name": "mutants", "rules": renamed}]})
    files = []
    for number, case in enumerate(batch):
        checks = [
            {**check, "alertname": name} for check in case.text["alert_rule_test"] for name in rules
        ]
        test = {
            "rule_files": [str(rules_file)],
            "evaluation_interval": case.evaluation_interval,
            "tests": [{**case.text, "alert_rule_test": checks}],
        }
        files.append(folder / f"{number}.test.yml")
        write_yaml(files[-1], test)
    done = promtool("test", "rules", *files)
    failing = set(_FAILURE.findall(done.stdout + done.stderr))
    # Anything else that fails, such as a rule that cannot be parsed, names no alert.
    assert (done.returncode == 0) == (not failing), done.stdout + done.stderr
    return failing


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
    # The rule itself must pass, or every mutant would seem to be noticed. The first run shows this;
    # test_rules runs it in all cases.
    left[UNCHANGED] = rule.text
    for at, batch in enumerate(_batches(rule)):
        failing = _failing(tmp_path / str(at), batch, left)
        assert UNCHANGED not in failing, f"{rule.name} fails unchanged"
        left.pop(UNCHANGED, None)
        left = {name: mutant for name, mutant in left.items() if name not in failing}
        if not left:
            return
    changes = [made[int(name.removeprefix("mutant"))][0] for name in left]
    listed = "\n".join(changes)
    left_over = f"{len(changes)} of {len(made)} changes fail no test; add cases at these limits"
    assert not changes, f"{left_over}:\n{listed}"
