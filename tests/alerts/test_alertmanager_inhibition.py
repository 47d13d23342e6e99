"""Which alert mutes which: every pair, in the real Alertmanager, without sending anything."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.alerts.receivers import Alertmanager, Receivers, alert
from tests.alerts.shipped_rules import alerts
from tests.support.waiting import NeverHappenedError, wait_until

pytestmark = pytest.mark.needs("alertmanager")

SEVERITY = {rule.name: rule.text["labels"]["severity"] for rule in alerts()}


def of(*files: str) -> set[str]:
    """Return the alerts of these rule files."""
    names = {f"{file}.rules.yml" for file in files}
    return {rule.name for rule in alerts() if rule.file.name in names}


AWAY = {"AliaportDown", "AliaportAbsent"}
PROBES = {"ProbeFailing", "ProbeDegraded"}
USERS = {"HighErrorRate", "HighResponseTime", "UptimeProbeFailing"}
OF_THE_SERVICE = (
    of("service", "slo", "database", "log", "currency") | USERS | {"CurrencySyncFailed"}
) - {*AWAY, "FilebeatFailing"}
OF_ALL_REPLICAS = (
    *(
        "HighErrorRate",
        "HighResponseTime",
        "HighClientErrorRate",
        "QueryLatencyHigh",
        "SlowQueries",
    ),
    *("JobMissedRuns", "CurrencySyncFailed", *of("slo", "currency")),
)
"""Judged over all replicas: one replica that is down does not explain them."""
OF_THE_DATABASE = of("slo", "database") | USERS | PROBES | {
    *("AliaportNotReady", "ReadinessFlapping", "PluginNotStarted", "CollectorFailing"),
    *("JobFailing", "JobMissedRuns", "CurrencyNoLeader", "CurrencySourceFailing"),
    "PostgresExporterFailing",
}  # fmt: skip
BURN_SLOW = {"AvailabilityBudgetBurnSlow"}
MUTED: dict[str, set[str]] = {
    "AliaportDown": OF_THE_SERVICE - set(OF_ALL_REPLICAS),
    "AliaportAbsent": OF_THE_SERVICE,
    "DatabaseDown": OF_THE_DATABASE,
    "CertificateExpiresSoon": {"CertificateExpiring"},
    "DiskAlmostFull": {"DiskUsageHigh", "DiskWillFill"},
    "DiskUsageHigh": {"DiskWillFill"},
    "CurrencySyncFailed": {"CurrencySourceFailing"},
    "CurrencyBulletinsMissed": {"CurrencySyncFailed", "CurrencySourceFailing"},
    "PluginNotStarted": {"ProbeFailing", "ProbeNotRun"},
    "AvailabilityBudgetBurnFast": BURN_SLOW,
    "HighErrorRate": {"AvailabilityBudgetBurnFast"} | BURN_SLOW,
    "PluginStuck": PROBES | {"ProbeNotRun"},
    "LogWriteFailing": {"LogEventsDropped"},
    "HighCPUUsage": {"CPUBaselineExceeded"},
    "HighMemoryUsage": {"MemoryBaselineExceeded"},
    "AliaportNotReady": {"ReadinessFlapping", "UptimeProbeFailing", "ProbeFailing"},
}
"""The alerts that each source mutes, whatever their other labels are, if both have the same."""
SPECIAL: dict[tuple[str, str], set[str]] = {
    ("probe", "log"): {"LogWriteFailing"},
    ("probe", "currency_rates"): {"CurrencySyncFailed", "CurrencyBulletinsMissed"},
    ("plugin", "disk"): {"DiskUsageHigh", "DiskAlmostFull"},
    ("plugin", "cpu"): {"HighCPUUsage"},
    ("plugin", "memory"): {"HighMemoryUsage"},
}
"""The sources that also mute the probes with this label."""
OF_ONE_PLACE = {"PluginStuck", "PluginNotStarted", "AliaportDown"}
"""Sources that mute only the probes of their own instance or plugin; tested separately below."""
SAME = dict.fromkeys(
    ("service", "job", "instance", "plugin", "probe", "mountpoint", "file"), "same"
)
PLACES: dict[str, tuple[str, ...]] = {
    "CertificateExpiring": ("instance",),
    "DiskUsageHigh": ("instance", "mountpoint"),
    "DiskWillFill": ("instance", "mountpoint"),
    "CPUBaselineExceeded": ("instance",),
    "MemoryBaselineExceeded": ("instance",),
    "LogEventsDropped": ("instance", "file"),
    "ProbeNotRun": ("instance", "plugin", "probe"),
}
"""The labels that must be equal, except for sources in AWAY."""


@dataclass
class Case:
    """A source and a target in an environment of their own."""

    source: str
    target: str
    muted: bool
    source_labels: dict[str, str] = field(default_factory=dict)
    target_labels: dict[str, str] = field(default_factory=dict)
    env: str = ""

    def alerts(self) -> list[dict[str, Any]]:
        def one(name: str, role: str, labels: dict[str, str]) -> dict[str, Any]:
            every = {"severity": SEVERITY[name], "env": self.env, **SAME, "role": role, **labels}
            return alert(name, every, annotations={})

        return [
            one(self.source, "source", self.source_labels),
            one(self.target, "target", self.target_labels),
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.source_labels} and {self.target} {self.target_labels}"


def cases() -> list[Case]:
    names = sorted(SEVERITY)
    found = [
        Case(source, target, target in MUTED.get(source, ()))
        for source in names
        for target in names
        if source != target
    ]
    for (label, value), sources in SPECIAL.items():
        found += [
            Case(
                source,
                target,
                source in sources or target in MUTED.get(source, ()),
                target_labels={
                    label: value,
                    **({"instance": "other"} if label == "plugin" else {}),
                },
            )
            for source in names
            for target in PROBES - {source}
            if source not in OF_ONE_PLACE
        ]
    found += [
        Case(source, target, False, {label: "other"})
        for source, targets in MUTED.items()
        for target in sorted(targets)
        for label in ("env", "service")
    ]
    found += [
        Case(source, target, False, {label: "other"})
        for target, labels in PLACES.items()
        for source in sorted(MUTED)
        if target in MUTED[source] and source not in AWAY
        for label in labels
        if (source, label) != ("PluginNotStarted", "probe")
    ]
    found += [
        Case("LogWriteFailing", "ProbeFailing", False, {"instance": "other"}, {"probe": "log"}),
        Case("PluginNotStarted", "ProbeFailing", True, {"probe": ""}),
        Case("PluginNotStarted", "ProbeFailing", False, {"plugin": "other"}),
        *(
            Case("AliaportDown", name, name == "UptimeProbeFailing", {"instance": "other"})
            for name in sorted(OF_THE_SERVICE)
        ),
        Case("LogWriteFailing", "ProbeFailing", True, {"plugin": "p"}, {"probe": "log"}),
        # The milder form of the same alert.
        Case("JobFailing", "JobFailing", True, {"severity": "critical"}, {"instance": "other"}),
        Case("JobFailing", "JobFailing", True, {"severity": "critical"}, {"severity": "info"}),
        Case("JobFailing", "JobFailing", False, {"severity": "critical"}, {"job": "other"}),
        Case("JobFailing", "JobFailing", False, {"severity": "critical", "env": "other"}),
        Case("JobFailing", "JobFailing", False, {"severity": "critical", "service": "other"}),
        Case("JobFailing", "JobFailing", False, {"severity": "critical"}, {"severity": "critical"}),
    ]
    for number, case in enumerate(found):
        case.env = f"env-{number}"
        if case.source_labels.get("env"):
            case.source_labels = {**case.source_labels, "env": f"other-{number}"}
    return found


CASES = cases()
AT_ONCE = 500
"""The cases of one Alertmanager: for a response, it compares all of its alerts with each other."""


@pytest.fixture(scope="module")
def muted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[set[str]]:
    """Yield the environments whose target is muted."""
    folder = tmp_path_factory.mktemp("inhibition")
    receivers = Receivers(folder)
    try:
        parts = [CASES[start : start + AT_ONCE] for start in range(0, len(CASES), AT_ONCE)]
        yield set().union(
            *(_muted(part, folder / f"{at}", receivers) for at, part in enumerate(parts))
        )
    finally:
        receivers.stop()


def _muted(cases: list[Case], folder: Path, receivers: Receivers) -> set[str]:
    """Return those of these environments whose target is muted."""
    # As slow as it is shipped, so that nothing of this is sent.
    alertmanager = Alertmanager(folder, receivers)
    try:
        alertmanager.post(*(posted for case in cases for posted in case.alerts()))
        wanted = {case.env for case in cases if case.muted}
        found: set[str] = set()

        def all_muted() -> bool:
            found.update(
                entry["labels"]["env"]
                for entry in alertmanager.alerts()
                if entry["labels"]["role"] == "target" and entry["status"]["inhibitedBy"]
            )
            return found >= wanted

        # If it does not happen, each test reports its own cases.
        with suppress(NeverHappenedError):
            wait_until(all_muted, "all expected alerts are muted")
        return found
    finally:
        alertmanager.stop()


def test_the_tables_name_only_alerts_that_exist() -> None:
    named = set(MUTED) | set().union(*MUTED.values(), *SPECIAL.values())
    assert named <= set(SEVERITY), named - set(SEVERITY)


@pytest.mark.parametrize("source", sorted(SEVERITY))
def test_an_alert_mutes_what_it_explains_and_nothing_else(source: str, muted: set[str]) -> None:
    own = [case for case in CASES if case.source == source]
    wrong = [
        f"{case} should {'' if case.muted else 'not '}be muted"
        for case in own
        if case.muted != (case.env in muted)
    ]
    assert not wrong, "\n".join(wrong)
