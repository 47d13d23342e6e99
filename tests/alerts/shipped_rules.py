"""The shipped rule files and their promtool tests, as data."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
RULE_FILES = sorted(PROMETHEUS.glob("*.rules.yml"))
TEST_FILES = sorted((Path(__file__).parent / "rules").glob("*.test.yml"))
ABSENT = "absent.test.yml"
"""Tests all rules at once, without any series."""


def read_yaml(file: Path) -> Any:
    """Parse a file with the parser in C: the one in Python takes seconds for all files."""
    return yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader)


def write_yaml(file: Path, document: Mapping[str, Any]) -> None:
    """Write a document for promtool."""
    file.write_text(yaml.dump(document, Dumper=_WithoutAliases))


class _WithoutAliases(yaml.CSafeDumper):
    """A dumper that repeats shared values instead of writing aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


@dataclass(frozen=True)
class Rule:
    """One rule of `file`; `text` is its mapping in YAML."""

    file: Path
    group: str
    text: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.text.get("alert") or self.text["record"])

    @property
    def is_alert(self) -> bool:
        return "alert" in self.text


@cache
def rules() -> tuple[Rule, ...]:
    return tuple(
        Rule(file, group["name"], rule)
        for file in RULE_FILES
        for group in read_yaml(file)["groups"]
        for rule in group["rules"]
    )


def alerts() -> list[Rule]:
    return [rule for rule in rules() if rule.is_alert]


@dataclass(frozen=True)
class Case:
    """One group of series in a test file, with the expected results of one alert."""

    file: Path
    evaluation_interval: str
    alert: str
    text: dict[str, Any]

    @property
    def fires(self) -> bool:
        return any(check["exp_alerts"] for check in self.text["alert_rule_test"])


@cache
def cases() -> tuple[Case, ...]:
    return tuple(_cases())


def _cases() -> Iterator[Case]:
    for file in TEST_FILES:
        if file.name == ABSENT:
            continue
        document = read_yaml(file)
        for group in document["tests"]:
            names = {check["alertname"] for check in group["alert_rule_test"]}
            assert len(names) == 1, f"{file.name}: {group['name']}: one alert for each group"
            yield Case(file, document["evaluation_interval"], names.pop(), group)


def seconds(duration: str) -> float:
    """Return a duration such as `1h30m` in seconds."""
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
    return sum(
        int(number) * units[unit] for number, unit in re.findall(r"(\d+)(ms|[smhd])", duration)
    )


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool in the folder of the rules."""
    return subprocess.run(
        ["promtool", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=PROMETHEUS,
        # It runs for seconds: otherwise a quarter of the time would go into garbage collection and
        # into moving work between threads.
        env={**os.environ, "GOGC": "400", "GOMAXPROCS": "1"},
    )
