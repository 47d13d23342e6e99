"""The messages that people get from the real Alertmanager with the shipped configuration."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.alerts.receivers import alert
from tests.alerts.receivers.office import Office, open_office
from tests.alerts.receivers.receivers import PHONE
from tests.alerts.receivers.smtp import text_of
from tests.support.waiting import wait_until

pytestmark = pytest.mark.needs("alertmanager")

LINKS = {
    "runbook_url": "http://prometheus.test/user/runbooks/X.md?a=1&b=2|3",
    "dashboard_url": "http://grafana.test/d/aliaport-overview",
}
PRODUCTION = {"env": "production", "service": "aliaport", "job": "aliaport-backend"}
BEGAN = datetime(2026, 3, 1, 21, 30, tzinfo=UTC)
"""In Istanbul it is already the next day."""
ENDED = BEGAN + timedelta(hours=1, minutes=5, seconds=3)
TURKISH = "Şöför İĞNE ılık çığ üzüm"


def error_rate(until: datetime | None = None) -> dict[str, Any]:
    return alert(
        "HighErrorRate",
        PRODUCTION,
        severity="critical",
        since=BEGAN,
        annotations={
            "summary": "7% of requests fail",
            "description": f"5xx > 5% & rising: <!channel> {TURKISH}",
            **LINKS,
        },
        until=until,
    )


def probes(numbers: range, until: datetime | None = None) -> list[dict[str, Any]]:
    return [
        alert(
            "ProbeFailing",
            PRODUCTION,
            severity="warning",
            instance="backend:8000",
            probe=f"probe{number}",
            annotations={"summary": f"Probe {number} fails", "description": "It fails.", **LINKS},
            until=until,
        )
        for number in numbers
    ]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Post all alerts of this file at once; each test waits for its own."""
    for office in open_office(tmp_path_factory.mktemp("delivery")):
        elsewhere = {**PRODUCTION, "env": "staging"}
        long = {"summary": f"{TURKISH} […] {{x}} “y” " + "and a long story " * 20}
        office.alertmanager.post(
            error_rate(),
            *probes(range(8)),
            alert("Watchdog", severity="none", env="production"),
            alert("DiskAlmostFull", PRODUCTION, severity="critical", annotations={}),
            alert("TargetDown", PRODUCTION, severity="warning", annotations={}),
            alert("AuditLogRefusing", PRODUCTION, severity="critical", annotations=long),
            alert("AliaportDown", elsewhere, severity="critical"),
            alert("TargetAbsent", elsewhere, severity="warning"),
            alert("CPUBaselineExceeded", PRODUCTION, severity="info"),
            alert("Strange", severity="page", env="production"),
            alert("Bare"),
            alert("Nowhere", severity="warning"),
            alert("A<b>&", severity="warning", env="e<f", instance="<i>"),
        )
        yield office


@pytest.fixture(scope="module")
def over(office: Office) -> Office:
    """Resolve the error rate and two of the probes."""
    office.mail("🔴 CRITICAL: HighErrorRate (production)")
    office.sms("HighErrorRate")
    office.slack("🟠 WARNING: ProbeFailing (8×, production)")
    office.alertmanager.post(
        error_rate(until=ENDED), *probes(range(2), until=datetime.now(UTC) - timedelta(seconds=1))
    )
    return office


SILENCE = (
    "http://alertmanager.test/#/silences/new?filter=%7Balertname%3D%22HighErrorRate%22"
    "%2Cenv%3D%22production%22%2Cjob%3D%22aliaport-backend%22%2Cservice%3D%22aliaport%22"
    "%2Cseverity%3D%22critical%22%7D"
)


def test_slack_shows_a_new_alert(office: Office) -> None:
    title = "🔴 CRITICAL: HighErrorRate (production)"
    office.slack(title)
    payload = next(
        message
        for message in office.receivers.slack.messages
        if message["attachments"][0]["title"] == title
    )
    assert payload["channel"] == "#aliaport-alerts"
    assert payload["username"] == "Aliaport alerts"
    assert payload["icon_emoji"] == ":anchor:"
    attachment = payload["attachments"][0]
    assert attachment["text"].split("\n") == [
        "*7% of requests fail*",
        f"5xx &gt; 5% &amp; rising: &lt;!channel&gt; {TURKISH}",
        "since 2 Mar 2026 00:30 (UTC+03)",
        "",
        "<http://prometheus.test/user/runbooks/X.md?a=1&amp;b=2%7C3|Runbook> · "
        f"<http://grafana.test/d/aliaport-overview|Dashboard> · <{SILENCE}|Silence>",
    ]
    assert attachment["title_link"] == LINKS["runbook_url"]
    assert attachment["fallback"] == f"{title}: 7% of requests fail"
    assert attachment["color"] == "#c62828"
    assert attachment["footer"] == "production · aliaport-backend · aliaport"
    assert attachment["mrkdwn_in"] == ["text"]


def test_slack_shows_that_an_alert_is_resolved(over: Office) -> None:
    attachment = over.slack("✅ RESOLVED: HighErrorRate (production)")
    assert attachment["color"] == "#1f8a4c"
    assert attachment["text"].split("\n")[:2] == [
        "✅ *7% of requests fail*",
        "lasted 1h5m, until 2 Mar 2026 01:35 (UTC+03)",
    ]
    assert "rising" not in attachment["text"], "the fault in the description is over"
    assert "Runbook" in attachment["text"]
    assert "Silence" not in attachment["text"]


def test_slack_shows_five_alerts_of_a_group_and_counts_the_others(office: Office) -> None:
    blocks = office.slack("🟠 WARNING: ProbeFailing (8×, production)")["text"].split("\n\n")
    assert len(blocks) == 7
    for number, block in enumerate(blocks[:5]):
        summary, description, since = block.split("\n")
        assert (summary, description) == (f"*Probe {number} fails*", "It fails.")
        assert since.startswith("since ")
        assert since.endswith(f" · instance backend:8000 · probe probe{number}")
    assert blocks[5] == "and 3 more"


def test_slack_separates_resolved_from_firing_alerts(over: Office) -> None:
    attachment = over.slack("🟠 WARNING: ProbeFailing (6 firing, 2 resolved, production)")
    blocks = attachment["text"].split("\n\n")
    assert blocks[0].startswith("*Probe 2 fails*\nIt fails.\nsince ")
    assert blocks[5] == "and 1 more"
    assert blocks[6].startswith("✅ *Probe 0 fails*\nlasted ")
    assert blocks[7].startswith("✅ *Probe 1 fails*\nlasted ")
    assert attachment["fallback"].endswith(": Probe 2 fails"), "one that still fires"


def test_a_mail_shows_the_same(office: Office) -> None:
    mail = office.mail("🔴 CRITICAL: HighErrorRate (production)")
    assert mail["From"] == "alertmanager@aliaport.com"
    assert mail["To"] == "admin@aliaport.com"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert text_of(mail).split("\n") == [
        "🔴 CRITICAL: HighErrorRate (production)",
        "",
        "7% of requests fail",
        f"5xx > 5% & rising: <!channel> {TURKISH}",
        "since 2 Mar 2026 00:30 (UTC+03)",
        "",
        f"Runbook: {LINKS['runbook_url']}",
        f"Dashboard: {LINKS['dashboard_url']}",
        f"Silence: {SILENCE}",
        "",
        "alertname: HighErrorRate",
        "env: production",
        "job: aliaport-backend",
        "service: aliaport",
        "severity: critical",
        "",
    ]
    html = text_of(mail, "html")
    assert f"5xx &gt; 5% &amp; rising: &lt;!channel&gt; {TURKISH}" in html
    assert "background:#c62828;" in html
    assert 'href="http://prometheus.test/user/runbooks/X.md?a=1&amp;b=2%7c3"' in html
    assert f'href="{SILENCE}"' in html
    assert "ZgotmplZ" not in html, "html/template blocked a value"


def test_a_mail_shows_that_an_alert_is_resolved(over: Office) -> None:
    mail = over.mail("✅ RESOLVED: HighErrorRate (production)")
    ended = "lasted 1h5m, until 2 Mar 2026 01:35 (UTC+03)"
    assert f"RESOLVED: 7% of requests fail\n{ended}" in text_of(mail)
    html = text_of(mail, "html")
    assert ended in html.replace("&#43;", "+")
    assert "background:#1f8a4c;" in html
    assert "rising" not in text_of(mail) + html


def test_an_sms_reports_a_critical_production_alert_once(over: Office) -> None:
    assert over.sms("HighErrorRate") == (
        "Aliaport production CRITICAL: HighErrorRate since 00:30 (UTC+03). 7% of requests fail"
    )
    over.mail("✅ RESOLVED: HighErrorRate (production)")
    over.slack("✅ RESOLVED: HighErrorRate (production)")
    over.mail("🔴 CRITICAL: AliaportDown (staging)")
    assert len(over.texts("HighErrorRate")) == 1
    for name in ("DiskAlmostFull", "AuditLogRefusing"):
        over.sms(name)
    assert len(over.receivers.sns.messages) == 3, over.receivers.sns.messages
    assert {message.number for message in over.receivers.sns.messages} == {PHONE}


def test_an_sms_has_one_part(office: Office) -> None:
    """Use at most 160 characters of its alphabet; one letter outside of it, and the limit is 70."""
    text = office.sms("AuditLogRefusing")
    assert "Sofor IGNE ilik cig uzum (...) (x) ?y? and a long".replace("...", "?") in text
    assert 140 < len(text) < 160
    assert re.fullmatch(r"[ -Z_a-z]+", text), text


def test_the_heartbeat_arrives_and_nobody_else_is_notified(office: Office) -> None:
    wait_until(lambda: office.receivers.heartbeat.count >= 3, "three heartbeats arrive")
    for beat in office.receivers.heartbeat.messages:
        assert (beat["status"], beat["groupLabels"]["alertname"]) == ("firing", "Watchdog")
    everything = f"{office.receivers.slack.messages} {office.receivers.sns.messages}"
    assert "Watchdog" not in everything


@pytest.mark.parametrize(
    "title",
    [
        "⚪ PAGE: Strange (production)",
        "⚪ NO SEVERITY: Bare (no env)",
        "🟠 WARNING: Nowhere (no env)",
        "🔴 CRITICAL: AliaportDown (staging)",
    ],
)
def test_alerts_without_a_route_go_to_slack_and_mail(office: Office, title: str) -> None:
    office.slack(title)
    office.mail(title)


@pytest.mark.parametrize(
    "title",
    [
        "🟠 WARNING: TargetAbsent (staging)",
        "🟠 WARNING: TargetDown (production)",
        "🔵 INFO: CPUBaselineExceeded (production)",
    ],
)
def test_alerts_that_can_wait_go_to_slack_only(office: Office, title: str) -> None:
    office.slack(title)
    # Sent at the same time, through the slower channel.
    office.mail("🟠 WARNING: Nowhere (no env)")
    assert title not in [mail["Subject"] for mail in office.receivers.smtp.messages]


def test_without_annotations_all_templates_still_show_the_labels(office: Office) -> None:
    title = "🔴 CRITICAL: DiskAlmostFull (production)"
    attachment = office.slack(title)
    assert attachment["text"].startswith("*No summary*\nsince ")
    assert attachment["title_link"] == "http://alertmanager.test/#/alerts"
    assert attachment["fallback"] == title
    assert "No summary\nsince " in text_of(office.mail(title))
    assert office.sms("DiskAlmostFull").startswith("Aliaport production CRITICAL: DiskAlmostFull ")


def test_names_cannot_write_slacks_markup(office: Office) -> None:
    attachment = office.slack("🟠 WARNING: A&lt;b&gt;&amp; (e&lt;f)")
    assert " · instance &lt;i&gt;\n" in attachment["text"]
    assert "alertname%3D%22A%3Cb%3E%26%22" in attachment["text"]
    assert attachment["footer"] == "e&lt;f"


def test_nothing_failed(over: Office) -> None:
    over.slack("✅ RESOLVED: HighErrorRate (production)")
    assert over.metric("alertmanager_notifications_total") >= 20
    failed = over.metric("alertmanager_notification_requests_failed_total")
    assert failed == 0, over.alertmanager.tail()
