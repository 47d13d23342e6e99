"""Sends a test alert, and reads from Alertmanager's own counters if it was delivered."""

import asyncio
import re
import secrets
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import quote

from aliaport.doctor.checks import Run
from aliaport.doctor.findings import CheckFailed, Finding, passed
from aliaport.doctor.receivers import integrations

NAME = "AliaportDoctorTest"
LOOK_EVERY = 0.5
RUNBOOK = "AlertmanagerNotificationsFailing"

# `notifications_total` counts a notification when it begins, and a failure only when Alertmanager
# gives up after minutes of attempts. Each attempt is a request, and requests are counted at once.
_COUNTER = re.compile(
    r"alertmanager_(notifications|notifications_failed|notification_requests"
    r"|notification_requests_failed)_total\{(?:[^}]*,)?integration=\"([^\"]+)\"[^}]*\} (\S+)"
)


@dataclass(frozen=True, slots=True)
class DeliveryCounts:
    """The four counters by name and integration, summed over all alerts."""

    counts: Counter[tuple[str, str]]

    def since(self, before: Self, integration: str) -> tuple[int, int, int]:
        """Return notifications begun, requests that succeeded, and requests that failed."""
        more = {
            name: self.counts[name, integration] - before.counts[name, integration]
            for name in (
                *("notifications", "notifications_failed"),
                *("notification_requests", "notification_requests_failed"),
            )
        }
        failed = max(more["notification_requests_failed"], more["notifications_failed"])
        good = more["notification_requests"] - more["notification_requests_failed"]
        return more["notifications"], good, failed


async def delivery(run: Run) -> Finding:
    """Check that every integration of the alert's receivers sends it without failing."""
    endpoint, targets = run.alertmanager(), run.targets
    routed = integrations((await endpoint.json("/api/v2/status"))["config"]["original"])
    before = await _counted(run)
    # A new job each time makes a new group: the alert must not wait in a group sent minutes ago.
    labels = {
        "alertname": NAME,
        "severity": "warning",
        "service": "aliaport",
        "job": f"doctor-{secrets.token_hex(4)}",
    }
    began = time.monotonic()
    await _post(run, labels, ends_in=targets.test_alert_wait)
    try:
        return await _watch(run, labels["job"], routed, before, began)
    finally:
        with suppress(CheckFailed):
            await _post(run, labels, ends_in=0)


async def _watch(
    run: Run, job: str, routed: dict[str, set[str]], before: DeliveryCounts, began: float
) -> Finding:
    wait = run.targets.test_alert_wait
    receivers: list[str] = []
    pending: list[str] = []
    while time.monotonic() - began < wait:
        receivers = await _receivers(run, job) or receivers
        wanted = sorted({kind for name in receivers for kind in routed.get(name, set())})
        if receivers and not wanted:
            raise CheckFailed(
                f"the receiver {', '.join(receivers)} notifies nobody",
                "route warnings to a receiver with Slack, as in deploy/alertmanager",
                RUNBOOK,
            )
        counted = await _counted(run)
        sent = {kind: counted.since(before, kind) for kind in wanted}
        pending = [
            kind
            for kind, (begun, good, failed) in sent.items()
            if not (begun and (good > 0 or failed))
        ]
        if wanted and not pending:
            return _judged(sent, time.monotonic() - began)
        await asyncio.sleep(LOOK_EVERY)
    raise CheckFailed(
        f"not sent within {wait:g} s by {', '.join(pending) or 'any integration'}",
        "see Alertmanager's log; --test-alert-wait must be longer than group_wait",
        RUNBOOK,
    )


def _judged(sent: dict[str, tuple[int, int, int]], seconds: float) -> Finding:
    failing = [kind for kind, (_, _, failed) in sent.items() if failed]
    good = [kind for kind, (_, good, _) in sent.items() if good > 0 and kind not in failing]
    sent_by = f"sent by {', '.join(good)}" if good else "not sent"
    if failing:
        raise CheckFailed(
            f"{sent_by}; {', '.join(failing)} failed",
            "see Alertmanager's log; often an address or secret of that integration is wrong",
            RUNBOOK,
        )
    return passed(f"{sent_by} within {seconds:.1f} s, none failed; check that it arrived")


async def _receivers(run: Run, job: str) -> list[str]:
    """Return the receivers that the alert was routed to. Raises CheckFailed if it is muted."""
    matcher = quote(f'job="{job}"')
    found = await run.alertmanager().json(f"/api/v2/alerts?filter={matcher}")
    for alert in found:
        status = alert["status"]
        if status["state"] == "suppressed":
            by = ", ".join(status["silencedBy"] or status["inhibitedBy"])
            raise CheckFailed(
                f"the test alert is muted by {by}",
                "expire the silence or wait until it ends, then run doctor again",
                RUNBOOK,
            )
    return sorted({receiver["name"] for alert in found for receiver in alert["receivers"]})


async def _counted(run: Run) -> DeliveryCounts:
    page = (await run.alertmanager().get_ok("/metrics")).text
    counts: Counter[tuple[str, str]] = Counter()
    for name, integration, value in _COUNTER.findall(page):
        counts[name, integration] += int(float(value))
    return DeliveryCounts(counts)


async def _post(run: Run, labels: dict[str, str], *, ends_in: float) -> None:
    alert: dict[str, Any] = {
        "labels": labels,
        "annotations": {
            "summary": "Test alert: nothing is wrong",
            "description": "Sent by `aliaport doctor --test-alert`. It expires automatically.",
        },
        "endsAt": datetime.fromtimestamp(time.time() + ends_in, UTC).isoformat(),
    }
    endpoint = run.alertmanager()
    reply = await endpoint.post("/api/v2/alerts", [alert])
    if reply.status != 200:
        raise endpoint.failure(
            f"Alertmanager responded {reply.status} to the alert: {reply.excerpt}"
        )
