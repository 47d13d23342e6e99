"""Whether the rules' tests notice each small change of a threshold, a comparison or a duration."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alerts.mutants import mutants
from tests.alerts.shipped_rules import Case, Rule, alerts, cases, promtool

UNNOTICEABLE = {"SlowQueries": r"> -> >=", "DiskWillFill": r"3600\) < -> <="}
"""By alert, changes that no series can show: sums and predictions of floats do not meet a limit
exactly."""

LIMITS = "slo-limits.test.yml"
"""Gives the burn alerts their recorded series, so that no days have to be gone through."""


def _alone(rule: Rule) -> list[Case]:
    found = [each for each in cases() if each.alert == rule.name]
    return [each for each in found if each.file.name == LIMITS] or found


def _write(folder: Path, mutant: dict[str, Any], alone: list[Case]) -> list[Path]:
    """Test files for one mutant, one for each evaluation interval."""
    folder.mkdir()
    rules_file = folder / "rules.yml"
    groups = [{"name": "mutant", "rules": [mutant]}]
    rules_file.write_text(yaml.safe_dump({"groups": groups}))
    files = []
    for interval in {case.evaluation_interval for case in alone}:
        document = {
            "rule_files": [str(rules_file)],
            "evaluation_interval": interval,
            "tests": [case.text for case in alone if case.evaluation_interval == interval],
        }
        files.append(folder / f"{interval}.test.yml")
        files[-1].write_text(yaml.safe_dump(document))
    return files


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule.name)
def test_each_mutant_of_the_rule_fails_a_test(rule: Rule, tmp_path: Path) -> None:
    alone = _alone(rule)
    made = list(mutants(rule.text))
    # Unchanged, the same files must pass: else every mutant would seem to be noticed.
    unchanged = _write(tmp_path / "unchanged", rule.text, alone)
    done = promtool("test", "rules", *unchanged)
    assert done.returncode == 0, done.stdout + done.stderr
    files = [_write(tmp_path / str(at), mutant, alone) for at, (_, mutant) in enumerate(made)]
    with ThreadPoolExecutor(2) as pool:
        codes = pool.map(lambda each: promtool("test", "rules", *each).returncode, files)
        passed = [what for (what, _), code in zip(made, codes, strict=True) if code == 0]
    excused = UNNOTICEABLE.get(rule.name)
    unnoticed = [what for what in passed if not (excused and re.search(excused, what))]
    listed = "\n".join(unnoticed)
    assert not unnoticed, f"{len(unnoticed)} of {len(made)} changes fail no test:\n{listed}"
