"""Checks against the real Prometheus and Alertmanager: as shipped, and badly configured."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from aliaport.doctor.expected import LATENCY
from aliaport.doctor.findings import Finding, Verdict
from aliaport.doctor.targets import Targets
from tests.alerts.receivers import Alertmanager, Receivers
from tests.alerts.receivers.smtp import PASSWORD
from tests.alerts.stack.prometheus import Prometheus
from tests.doctor.running import FAIL, NOT_CHECKED, PASS, doctor, found
from tests.doctor.watchers import BarePrometheus, Exporters, shipped_prometheus
from tests.support.distributions import install
from tests.support.service import ROGUES, Service, free_port, start
from tests.support.waiting import wait_until

pytestmark = pytest.mark.needs("prometheus", "alertmanager")

FACTOR = 100
"""A group is notified after one second, and changes after three."""


@dataclass
class Watched:
    service: Service
    receivers: Receivers
    alertmanager: Alertmanager
    prometheus: Prometheus

    @property
    def options(self) -> list[str]:
        return [
            *("--url", f"http://127.0.0.1:{self.service.port}"),
            *("--prometheus", self.prometheus.url, "--alertmanager", self.alertmanager.url),
        ]

    def describe(self) -> str:
        return self.alertmanager.tail() + self.prometheus.program.tail()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    install(folder / "site", "aliaport-rogues", {"good": "aliaport_rogues.good:Good"})
    service = start(folder / "service", allow=["good"], path=(folder / "site", ROGUES))
    receivers, exporters = Receivers(folder / "receivers"), Exporters()
    try:
        alertmanager = Alertmanager(folder / "alertmanager", receivers, factor=FACTOR)
        prometheus = shipped_prometheus(
            folder / "prometheus",
            {
                "backend:8000": f"127.0.0.1:{service.port}",
                "alertmanager:9093": f"127.0.0.1:{alertmanager.port}",
            },
            exporters.address,
        )
        try:
            service.wait_started()
            prometheus.program.start()
            prometheus.program.wait_ready()
            wait_until(
                lambda: service.get("/health").status == 200 and _settled(prometheus, alertmanager),
                "everything is scraped and Watchdog has arrived",
                30,
            )
            yield Watched(service, receivers, alertmanager, prometheus)
        finally:
            prometheus.program.end()
            alertmanager.stop()
    finally:
        exporters.stop()
        receivers.stop()
        service.kill()


def _settled(prometheus: Prometheus, alertmanager: Alertmanager) -> bool:
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    targets = prometheus.targets()
    return (
        {target["scrapePool"] for target in targets} == prometheus.jobs
        and all(target["health"] == "up" for target in targets)
        and all(rule["health"] == "ok" for rule in rules)
        and any(alert["labels"]["alertname"] == "Watchdog" for alert in alertmanager.alerts())
        and bool(prometheus.query('rate(aliaport_http_requests_total{endpoint="/health"}[1h]) > 0'))
    )


def test_the_shipped_watchers_pass_and_a_test_alert_arrives(
    watched: Watched, tmp_path: Path
) -> None:
    outcome = doctor(tmp_path, "--json", "--test-alert", *watched.options)
    results = {**outcome.results("prometheus."), **outcome.results("alertmanager.")}
    assert set(results.values()) == {PASS}, (outcome.not_passed(), watched.describe())
    assert len(results) == 13
    seen = {name: line["seen"] for name, line in outcome.lines.items()}
    assert seen["prometheus.scrape"].startswith("1 up, version ")
    assert seen["prometheus.rules"] == "all 15 groups with 63 alerts are loaded"
    assert seen["prometheus.latency"].startswith("p95 of the last hour: GET /health ")
    assert watched.alertmanager.url in seen["prometheus.alertmanager"]
    assert seen["alertmanager.slack"].endswith("slack, slack-and-mail, slack-mail-and-sms")
    assert seen["alertmanager.sms"] == "receivers with SMS (SNS): slack-mail-and-sms"
    assert seen["alertmanager.watchdog"].endswith("is routed to heartbeat (webhook)")
    assert seen["alertmanager.delivery"].startswith("sent by email, slack within ")
    wait_until(lambda: _came(watched.receivers), "Slack and mail have the test alert")
    _is_ended(watched)
    for secret in (watched.receivers.slack.url, watched.receivers.heartbeat.url, PASSWORD):
        assert secret not in outcome.output


def _came(receivers: Receivers) -> bool:
    titles = [message["attachments"][0]["title"] for message in receivers.slack.messages]
    subjects = [mail["Subject"] for mail in receivers.smtp.messages]
    return all(any("AliaportDoctorTest" in text for text in texts) for texts in (titles, subjects))


def _is_ended(watched: Watched) -> None:
    def gone() -> bool:
        return all(
            alert["labels"]["alertname"] != "AliaportDoctorTest"
            for alert in watched.alertmanager.alerts()
        )

    wait_until(gone, "the test alert has expired")


def test_a_failing_slack_fails_the_test_alert(watched: Watched, tmp_path: Path) -> None:
    watched.receivers.slack.failing = True
    try:
        outcome = doctor(tmp_path, "--json", "--test-alert", *watched.options)
    finally:
        watched.receivers.slack.failing = False
    line = outcome.lines["alertmanager.delivery"]
    assert (outcome.code, line["result"]) == (1, FAIL), line
    assert line["seen"] == "sent by email; slack failed"
    assert line["runbook"] == "deploy/runbooks/AlertmanagerNotificationsFailing.md"
    assert outcome.lines["alertmanager.slack"]["result"] == PASS, "it is configured correctly"


async def test_a_route_beyond_its_baseline_fails(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LATENCY, ("GET", "/health"), 0.000001)
    targets = Targets("http://a", prometheus=watched.prometheus.url)
    finding = await found("prometheus.latency", targets)
    assert finding.verdict is Verdict.FAIL
    assert finding.seen.startswith("p95 of the last hour: GET /health ")
    assert finding.seen.endswith(" s (at most 1e-06 s)")
    assert finding.runbook == "LatencyBudgetBurn"


async def test_a_test_alert_that_waits_too_long_meets_its_deadline(watched: Watched) -> None:
    finding = await _delivery(watched, test_alert_wait=0.1)
    assert finding.verdict is Verdict.FAIL
    assert finding.seen.startswith("not sent within 0.1 s by ")


async def test_silences_are_noticed(watched: Watched) -> None:
    ids = [_silence(watched, "Watchdog"), _silence(watched, "AliaportDoctorTest")]
    try:
        finding = await found(
            "alertmanager.watchdog", Targets("http://a", alertmanager=watched.alertmanager.url)
        )
        assert finding.verdict is Verdict.FAIL
        assert finding.seen == f"Watchdog is suppressed by silence {ids[0]}"
        delivery = await _delivery(watched)
        assert delivery.verdict is Verdict.FAIL
        assert delivery.seen == f"the test alert is muted by {ids[1]}"
    finally:
        for silence in ids:
            url = f"{watched.alertmanager.url}/api/v2/silence/{silence}"
            urlopen(Request(url, method="DELETE"), timeout=10).close()


async def _delivery(watched: Watched, **more: Any) -> Finding:
    targets = Targets("http://a", alertmanager=watched.alertmanager.url, test_alert=True, **more)
    return await found("alertmanager.delivery", targets)


def _silence(watched: Watched, name: str) -> str:
    matcher = {"name": "alertname", "value": name, "isRegex": False, "isEqual": True}
    silence = {
        "matchers": [matcher],
        "startsAt": "2020-01-01T00:00:00Z",
        "endsAt": "2120-01-01T00:00:00Z",
        "createdBy": "tests",
        "comment": "silenced",
    }
    request = Request(
        f"{watched.alertmanager.url}/api/v2/silences",
        json.dumps(silence).encode(),
        {"Content-Type": "application/json"},
    )
    with urlopen(request, timeout=10) as response:
        return str(json.load(response)["silenceID"])


async def test_a_prometheus_without_rules_and_alertmanager_fails(tmp_path: Path) -> None:
    dead = f"127.0.0.1:{free_port()}"
    prometheus = BarePrometheus(tmp_path / "prometheus", dead)
    prometheus.start()
    try:
        wait_until(
            lambda: _query(prometheus, "up")[1:] and _rule(prometheus) == "err", "the rule fails"
        )
        outcome = doctor(tmp_path, "--json", "--prometheus", prometheus.url)
        strange = await _scrape(prometheus, "strange")
        absent = await _scrape(prometheus, "nothing")
    finally:
        prometheus.stop()
    lines = outcome.lines
    assert outcome.results("prometheus.") == {
        "prometheus.ready": PASS,
        "prometheus.scrape": FAIL,
        "prometheus.targets": FAIL,
        "prometheus.rules": FAIL,
        "prometheus.evaluation": FAIL,
        "prometheus.latency": NOT_CHECKED,
        "prometheus.alertmanager": FAIL,
    }
    assert lines["prometheus.scrape"]["seen"] == f"1 of 1 targets are down: {dead}"
    assert "connection refused" in lines["prometheus.targets"]["seen"]
    assert "missing: groups aliaport, " in lines["prometheus.rules"]["seen"]
    assert "broken/Broken: " in lines["prometheus.evaluation"]["seen"]
    assert lines["prometheus.alertmanager"]["runbook"].endswith("/PrometheusAlertmanagerMissing.md")
    assert "up, but without aliaport_build_info" in strange.seen
    assert absent.seen == "the job nothing has no targets"


async def _scrape(prometheus: BarePrometheus, job: str) -> Finding:
    return await found("prometheus.scrape", Targets("http://a", prometheus=prometheus.url, job=job))


def _query(prometheus: BarePrometheus, query: str) -> list[Any]:
    with urlopen(f"{prometheus.url}/api/v1/query?query={query}", timeout=10) as response:
        result: list[Any] = json.load(response)["data"]["result"]
        return result


def _rule(prometheus: BarePrometheus) -> str:
    with urlopen(f"{prometheus.url}/api/v1/rules", timeout=10) as response:
        return str(json.load(response)["data"]["groups"][0]["rules"][0]["health"])


ONLY_A_WEBHOOK = """
route: {{receiver: 'only: one', routes: [{{receiver: nobody, matchers: [severity="warning"]}}]}}
receivers:
  - name: 'only: one'
    webhook_configs: [{{url: '{url}'}}]
  - name: nobody
  - name: unrouted
    slack_configs: [{{api_url: 'http://127.0.0.1:1/geheim', channel: '#a'}}]
"""


def test_an_alertmanager_that_notifies_hardly_anybody_fails(tmp_path: Path) -> None:
    receivers = Receivers(tmp_path / "receivers")
    try:
        config = ONLY_A_WEBHOOK.format(url=receivers.heartbeat.url)
        alertmanager = Alertmanager(tmp_path / "alertmanager", receivers, config=config)
        try:
            outcome = doctor(tmp_path, "--json", "--test-alert", "--alertmanager", alertmanager.url)
        finally:
            alertmanager.stop()
    finally:
        receivers.stop()
    lines = outcome.lines
    assert outcome.results("alertmanager.") == {
        "alertmanager.ready": PASS,
        "alertmanager.slack": FAIL,
        "alertmanager.email": FAIL,
        "alertmanager.sms": NOT_CHECKED,
        "alertmanager.watchdog": FAIL,
        "alertmanager.delivery": FAIL,
    }
    assert lines["alertmanager.slack"]["seen"] == (
        "no route leads to Slack; routes lead only to: webhook"
    )
    assert "Prometheus' alerts do not arrive" in lines["alertmanager.watchdog"]["seen"]
    assert lines["alertmanager.delivery"]["seen"] == "the receiver nobody notifies nobody"
    assert "geheim" not in outcome.output
    assert receivers.heartbeat.url not in outcome.output


def test_missing_watchers_fail(tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    outcome = doctor(tmp_path, "--json", "--prometheus", nowhere, "--alertmanager", nowhere)
    results = {**outcome.results("prometheus."), **outcome.results("alertmanager.")}
    assert results.pop("alertmanager.delivery") == NOT_CHECKED
    assert set(results.values()) == {FAIL}
    assert "--test-alert" in outcome.lines["alertmanager.delivery"]["seen"]
