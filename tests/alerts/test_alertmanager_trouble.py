"""Outside office hours, and with failing receivers or missing secrets."""

from pathlib import Path

import pytest

from tests.alerts.receivers import alert
from tests.alerts.receivers.office import open_office
from tests.support.waiting import wait_until

pytestmark = pytest.mark.needs("alertmanager")

PRODUCTION = {"env": "production", "service": "aliaport"}
CRITICAL = alert("DatabaseDown", PRODUCTION, severity="critical")
TITLE = "🔴 CRITICAL: DatabaseDown (production)"


def test_outside_of_office_hours_only_urgent_alerts_are_sent(tmp_path: Path) -> None:
    for office in open_office(tmp_path, office_hours=False):
        staging = {**PRODUCTION, "env": "staging"}
        office.alertmanager.post(
            alert("TargetDown", PRODUCTION, severity="warning"),
            alert("TargetDown", staging, severity="warning"),
            alert("CPUBaselineExceeded", PRODUCTION, severity="info"),
            alert("CPUBaselineExceeded", staging, severity="info"),
            alert("AliaportDown", staging, severity="critical"),
            alert("Strange", staging, severity="page"),
        )
        titles = {
            "🟠 WARNING: TargetDown (production)",
            "🔴 CRITICAL: AliaportDown (staging)",
            "⚪ PAGE: Strange (staging)",
        }
        for title in titles:
            office.slack(title)
        wait_until(
            lambda: office.alertmanager.log.read_text().count("not within active time") >= 3,
            "three are held back",
        )
        assert {
            message["attachments"][0]["title"] for message in office.receivers.slack.messages
        } == titles


def test_slack_later_gets_the_alerts_that_it_missed(tmp_path: Path) -> None:
    for office in open_office(tmp_path):
        office.receivers.slack.failing = True
        office.alertmanager.post(CRITICAL)
        office.mail(TITLE)
        office.sms("DatabaseDown")
        wait_until(lambda: office.receivers.slack.refused >= 2, "Slack is tried again")
        assert office.receivers.slack.messages == []
        office.receivers.slack.failing = False
        office.slack(TITLE)


@pytest.mark.parametrize(
    ("secret", "channel"),
    [
        ("slack_webhook", "slack"),
        ("smtp_password", "email"),
        ("aws_credentials", "sns"),
        ("recipients.tmpl", "sns"),
    ],
)
def test_a_missing_secret_stops_only_its_channel(tmp_path: Path, secret: str, channel: str) -> None:
    """Check each secret; without recipients.tmpl, the SMS template fails."""
    for office in open_office(tmp_path, without=secret):
        office.alertmanager.post(CRITICAL)
        if channel != "slack":
            office.slack(TITLE)
        if channel != "email":
            office.mail(TITLE)
        if channel != "sns":
            office.sms("DatabaseDown")
        wait_until(
            lambda: (
                office.metric(
                    rf'alertmanager_notification_requests_failed_total\{{integration="{channel}"'
                )
                >= 1
            ),
            f"{channel} fails, and it is counted",
        )
