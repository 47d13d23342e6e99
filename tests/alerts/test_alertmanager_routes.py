"""Which receiver gets which alert, according to amtool; nothing is sent."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alerts.receivers.alertmanager import SHIPPED, for_test
from tests.alerts.receivers.receivers import Receivers
from tests.alerts.shipped_rules import alerts

pytestmark = pytest.mark.needs("alertmanager")

ALL = "slack-mail-and-sms"
TWO = "slack-and-mail"
RULES = {rule.name: rule.text["labels"]["severity"] for rule in alerts()}
SEVERITIES = ("critical", "warning", "info", "none", "page", "Critical", "")
ENVS = ("production", "staging", "development", "Production", "")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("routes")
    receivers = Receivers(folder)
    file = folder / "alertmanager.yml"
    file.write_text(for_test((SHIPPED / "alertmanager.yml").read_text(), receivers))
    yield file
    receivers.stop()


@pytest.fixture(scope="module")
def shipped() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((SHIPPED / "alertmanager.yml").read_text())
    return loaded


def amtool(*arguments: str) -> str:
    done = subprocess.run(["amtool", *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def receiver(config: Path, name: str, **labels: str) -> str:
    given = [f"{key}={value}" for key, value in labels.items() if value]
    return amtool(
        "config", "routes", "test", f"--config.file={config}", f"alertname={name}", *given
    ).strip()


def expected(severity: str, env: str) -> str:
    if severity == "critical":
        return ALL if env == "production" else TWO
    if severity in ("warning", "info") and env:
        return "slack"
    return TWO


def test_amtool_accepts_the_configuration(config: Path) -> None:
    output = amtool("check-config", str(config))
    assert output.count("SUCCESS") == 2, f"expected for configuration and templates:\n{output}"
    assert " 2 templates" in output, output


@pytest.mark.parametrize("env", ENVS)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_severity_and_env_choose_the_receiver(config: Path, severity: str, env: str) -> None:
    found = receiver(config, "SomeAlert", severity=severity, env=env, service="aliaport")
    assert found == expected(severity, env)


@pytest.mark.parametrize("env", ENVS)
def test_the_watchdog_goes_to_the_heartbeat_and_nowhere_else(config: Path, env: str) -> None:
    assert receiver(config, "Watchdog", severity="none", env=env) == "heartbeat"


@pytest.mark.parametrize(("name", "severity"), RULES.items(), ids=RULES)
def test_every_alert_reaches_the_right_receiver(config: Path, name: str, severity: str) -> None:
    found = receiver(config, name, severity=severity, env="production")
    if name == "Watchdog":
        assert found == "heartbeat"
        return
    assert severity in ("critical", "warning", "info"), "a severity that no route expects"
    assert found == expected(severity, "production")


def test_only_alerts_that_can_wait_are_limited_to_office_hours(shipped: dict[str, Any]) -> None:
    limited = [
        route["matchers"]
        for route in shipped["route"]["routes"]
        if "active_time_intervals" in route
    ]
    assert limited == [['severity="warning"', 'env="staging"'], ['severity="info"', 'env!=""']]
    assert shipped["time_intervals"] == [
        {
            "name": "office-hours",
            "time_intervals": [
                {
                    "weekdays": ["monday:friday"],
                    "times": [{"start_time": "08:00", "end_time": "18:00"}],
                    "location": "Europe/Istanbul",
                }
            ],
        }
    ]


def test_the_repeat_intervals_by_severity(shipped: dict[str, Any]) -> None:
    root = shipped["route"]
    assert (root["group_wait"], root["group_interval"]) == ("30s", "5m")
    for route in root["routes"]:
        again = route.get("repeat_interval", root["repeat_interval"])
        if 'severity="critical"' in route["matchers"]:
            assert again == "4h", route
        elif 'severity="info"' in route["matchers"]:
            assert again == "24h", route
        elif 'severity="warning"' in route["matchers"]:
            assert again == "12h", route


def test_environments_and_jobs_are_not_grouped_together(shipped: dict[str, Any]) -> None:
    assert set(shipped["route"]["group_by"]) == {"alertname", "severity", "env", "service", "job"}
    assert not any("group_by" in route for route in shipped["route"]["routes"])


def test_no_route_continues_to_the_next(shipped: dict[str, Any]) -> None:
    """Check that no route uses `continue`: it leads only to siblings, never back to the parent."""
    assert not any("continue" in route for route in shipped["route"]["routes"])


def test_no_secret_and_no_default_is_in_the_configuration(shipped: dict[str, Any]) -> None:
    text = (SHIPPED / "alertmanager.yml").read_text()
    assert not re.search(r"hooks\.slack\.com|\+\d{8}|api_url: |password: |secret_key", text)
    for one in shipped["receivers"]:
        for channel, entries in one.items():
            if channel == "name":
                continue
            for entry in entries:
                assert "send_resolved" in entry, f"{one['name']}: {channel}"


def test_inhibition_names_only_alerts_that_exist(shipped: dict[str, Any]) -> None:
    known = set(RULES)
    for inhibition in shipped["inhibit_rules"]:
        assert inhibition["equal"][:2] == ["env", "service"], inhibition
        for matcher in inhibition["source_matchers"] + inhibition["target_matchers"]:
            label, names = re.fullmatch(r'(\w+)=~?"([\w|]+)"', matcher).groups()  # type: ignore[union-attr]
            if label == "alertname":
                assert set(names.split("|")) <= known, f"unknown: {set(names.split('|')) - known}"
