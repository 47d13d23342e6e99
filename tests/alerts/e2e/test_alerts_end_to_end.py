"""Faults of a real service notify people once, through the right channels, and when they end.

Only the ends of the channels, the outside world and the load of the machine are simulated. All
durations of the shipped rules and configuration are divided by sixty. The scenes share one stack and
run in this order.
"""

import time
from collections.abc import Iterator, Mapping, Sequence

import pytest

from tests.alerts.e2e.inbox import Inbox, Notice
from tests.alerts.e2e.scenes import Application, Rates
from tests.alerts.stack.program import fetch
from tests.alerts.stack.stack import RUNBOOKS, Stack
from tests.support.tmpfs import fill

pytestmark = [
    pytest.mark.needs("root", "unshare", "prometheus", "alertmanager", "exporters", "postgresql15"),
    pytest.mark.timeout(600),
]

CRITICAL = ("slack", "mail", "sms")
CRITICAL_ENDS = ("slack", "mail")
"""The resolved message can wait until morning."""
WARNING = ("slack",)
PATIENCE = 60.0
QUIET = 15.0
SETTLED = 6.0
"""Seconds in which a late message about the last scene would arrive."""


class Stage:
    def __init__(self, stack: Stack, inbox: Inbox, failed_before: int) -> None:
        self.failed_before = failed_before
        self.stack = stack
        self.inbox = inbox
        self.application = Application(stack)
        self.rates = Rates(stack)

    def expect(self, **alerts: Sequence[str]) -> None:
        """Let the alerts arrive from now on; `wait_notified` waits for them."""
        self.inbox.expect(*_notices("firing", alerts))

    def notified(self, **alerts: Sequence[str]) -> None:
        """Wait until the alerts arrive, in any order, and nothing else does."""
        self.expect(**alerts)
        self.wait_notified(**alerts)

    def wait_notified(self, **alerts: Sequence[str]) -> None:
        """Wait until these alerts, which are expected, arrive."""
        self.inbox.wait_for(*_notices("firing", alerts), patience=PATIENCE)

    def resolved(self, **alerts: Sequence[str]) -> None:
        """Wait until the alerts are resolved, and nothing else arrives."""
        notices = _notices("resolved", alerts)
        self.inbox.expect(*notices)
        self.inbox.wait_for(*notices, patience=PATIENCE)

    def settle(self) -> None:
        """End the scene: wait until no alert is left and the heartbeat goes on.

        A message that arrives later fails the next scene; the last one waits for it.
        """
        self.wait_calm()
        self.stay_silent(0.0)

    def wait_calm(self) -> None:
        """Wait until Prometheus has no alert, pending or firing, except Watchdog."""
        self.inbox.wait_until(lambda: self.alerts() == {"Watchdog"}, "no alert is left", PATIENCE)

    def wait_firing(self, alert: str) -> None:
        """Wait until Prometheus has the alert, whether or not anybody is notified."""
        self.inbox.wait_until(
            lambda: alert in self.alerts("firing"), f"Prometheus has {alert} firing", PATIENCE
        )

    def alerts(self, *states: str) -> set[str]:
        return {
            alert["labels"]["alertname"]
            for alert in self.stack.prometheus.alerts()
            if not states or alert["state"] in states
        }

    def stay_silent(self, seconds: float) -> None:
        """Check that nothing arrives while the heartbeat continues."""
        until_then = time.monotonic() + seconds
        beats = self.inbox.heartbeats()
        self.inbox.wait_until(
            lambda: time.monotonic() > until_then and self.inbox.heartbeats() > beats,
            f"{seconds:g} s pass and the heartbeat goes on",
            seconds + PATIENCE,
        )
        self.inbox.assert_nothing_else()


def _notices(state: str, alerts: Mapping[str, Sequence[str]]) -> list[Notice]:
    return [
        Notice(channel, state, alert) for alert, channels in alerts.items() for channel in channels
    ]


@pytest.fixture(scope="module")
def theatre(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Stage]:
    with Stack(tmp_path_factory.mktemp("stack")) as stack:
        inbox = Inbox(stack.receivers, stack.describe)
        yield Stage(stack, inbox, failed_before=request.session.testsfailed)


@pytest.fixture
def stage(theatre: Stage, request: pytest.FixtureRequest) -> Stage:
    if request.session.testsfailed > theatre.failed_before:
        pytest.fail("not run, because an earlier scene failed", pytrace=False)
    return theatre


def test_a_healthy_service_is_quiet(stage: Stage) -> None:
    stage.inbox.wait_until(stage.stack.watched, "all targets are scraped", PATIENCE)
    stage.wait_calm()
    stage.stay_silent(QUIET)
    stage.wait_calm()


def test_a_stopped_database_raises_one_alarm(stage: Stage) -> None:
    stage.stack.database.stop()
    stage.notified(DatabaseDown=CRITICAL)
    # Long enough for the symptoms to show, which must be muted.
    stage.wait_firing("UptimeProbeFailing")
    stage.stack.database.start()
    stage.resolved(DatabaseDown=CRITICAL_ENDS)
    stage.settle()


def test_the_runbook_is_one_click_away(stage: Stage) -> None:
    """Check the link in the message of the scene before."""
    attachment = stage.stack.receivers.slack.messages[0]["attachments"][0]
    link = attachment["title_link"]
    assert link.endswith("/user/runbooks/DatabaseDown.md"), attachment
    assert f"<{link}|Runbook>" in attachment["text"], attachment
    status, text = fetch(link)
    assert (status, text) == (200, (RUNBOOKS / "DatabaseDown.md").read_text())


def test_a_killed_service_raises_one_alarm(stage: Stage) -> None:
    stage.stack.backend.kill()
    stage.notified(AliaportDown=CRITICAL)
    stage.wait_firing("UptimeProbeFailing")
    stage.stack.backend.start()
    stage.resolved(AliaportDown=CRITICAL_ENDS)
    stage.settle()


def test_full_disks_and_stuck_log_shipping_are_reported_together(stage: Stage) -> None:
    fillers = [fill(stage.stack.backend.logs()), fill(stage.stack.machine.disk())]
    stage.stack.filebeat.filled = 1.0
    stage.notified(LogWriteFailing=WARNING, DiskAlmostFull=CRITICAL, FilebeatFailing=WARNING)
    for filler in fillers:
        filler.unlink()
    stage.stack.filebeat.filled = 0.0
    stage.resolved(LogWriteFailing=WARNING, DiskAlmostFull=CRITICAL_ENDS, FilebeatFailing=WARNING)
    stage.settle()


def test_errors_a_hung_plugin_slow_responses_and_old_rates_are_reported_together(
    stage: Stage,
) -> None:
    """Combine faults that are reported soon with those that take half a minute or longer."""
    stage.expect(CurrencySyncFailed=WARNING, CurrencyBulletinsMissed=CRITICAL)
    stage.expect(LatencyBudgetBurn=WARNING)
    stage.rates.fall_behind(1)
    stage.application.fail(share=0.3)
    stage.application.hang()
    stage.notified(HighErrorRate=CRITICAL, PluginStuck=WARNING)
    stage.wait_firing("ProbeFailing")
    stage.application.be_well()
    stage.resolved(HighErrorRate=CRITICAL_ENDS, PluginStuck=WARNING)
    stage.application.be_slow(1.5)
    stage.notified(HighResponseTime=WARNING)
    stage.application.be_slow(0.45)
    # If the more severe alert fired before it, this one would be muted.
    stage.wait_notified(CurrencySyncFailed=WARNING)
    stage.rates.fall_behind(5)
    stage.resolved(HighResponseTime=WARNING)
    stage.wait_notified(LatencyBudgetBurn=WARNING, CurrencyBulletinsMissed=CRITICAL)
    stage.application.be_well()
    stage.rates.catch_up()
    stage.resolved(
        LatencyBudgetBurn=WARNING,
        CurrencyBulletinsMissed=CRITICAL_ENDS,
        CurrencySyncFailed=WARNING,
    )
    stage.settle()


def test_nothing_else_was_reported_meanwhile(stage: Stage) -> None:
    stage.stay_silent(SETTLED)
