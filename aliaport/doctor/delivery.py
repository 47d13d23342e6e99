"""Sends a test alert, and sees by Alertmanager's own counters what became of it."""

import asyncio
import re
import secrets
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from aliaport.doctor.checks import Run
from aliaport.doctor.findings import CheckFailed, Finding, passed
from aliaport.doctor.receivers import integrations

NAME = "AliaportDoctorTest"
LOOK_EVERY = 0.5
RUNBOOK = "AlertmanagerNotificationsFailing"

# `notifications_total` counts what was begun; a failed one is counted only when it is given up,
# after minutes of attempts. Each attempt is a request: these tell success and failure at once.
_COUNTER = re.compile(
    r"alertmanager_(notifications|notifications_failed|notification_requests"
    r"|notification_requests_failed)_total\{(?:[^}]*,)?integration=\"([^\"]+)\"[^}]*\} (\S+)"
)


@dataclass(frozen=True, slots=True)
class Counted:
    """The four counters, by their name and integration, over all alerts."""

    counts: Counter[tuple[str, str]]

    def since(self, before: "Counted", integration: str) -> tuple[int, int, int]:
        """Notifications begun, requests that succeeded, requests and notifications that failed."""
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
    """Each integration of the receivers that get the alert sends it, and none fails."""
    endpoint, targets = run.alertmanager(), run.targets
    ways = integrations((await endpoint.json("/api/v2/status"))["config"]["original"])
    before = await _counted(run)
    # The job is another each time, so that the alert belongs to no group that waits for minutes.
    labels = {
        "alertname": NAME,
        "severity": "warning",
        "service": "aliaport",
        "job": f"doctor-{secrets.token_hex(4)}",
    }
    began = time.monotonic()
    await _post(run, labels, ends_in=targets.test_alert_wait)
    try:
        return await _watched(run, labels["job"], ways, before, began)
    finally:
        with suppress(CheckFailed):
            await _post(run, labels, ends_in=0)


async def _watched(
    run: Run, job: str, ways: dict[str, set[str]], before: Counted, began: float
) -> Finding:
    wait = run.targets.test_alert_wait
    receivers: list[str] = []
    open_ways: list[str] = []
    while time.monotonic() - began < wait:
        receivers = await _receivers(run, job) or receivers
        wanted = sorted({kind for name in receivers for kind in ways.get(name, set())})
        if receivers and not wanted:
            raise CheckFailed(
                f"the receiver {', '.join(receivers)} tells nobody",
                "route warnings to a receiver with Slack, as in deploy/alertmanager",
                RUNBOOK,
            )
        counted = await _counted(run)
        sent = {kind: counted.since(before, kind) for kind in wanted}
        open_ways = [
            kind
            for kind, (begun, good, failed) in sent.items()
            if not (begun and (good > 0 or failed))
        ]
        if wanted and not open_ways:
            return _judged(sent, time.monotonic() - began)
        await asyncio.sleep(LOOK_EVERY)
    raise CheckFailed(
        f"not sent within {wait:g} s by {', '.join(open_ways) or 'anything'}",
        "see Alertmanager's log; --test-alert-wait must be longer than group_wait",
        RUNBOOK,
    )


def _judged(sent: dict[str, tuple[int, int, int]], seconds: float) -> Finding:
    failing = [kind for kind, (_, _, failed) in sent.items() if failed]
    good = [kind for kind, (_, good, _) in sent.items() if good > 0 and kind not in failing]
    told = f"sent by {', '.join(good)}" if good else "sent by none"
    if failing:
        raise CheckFailed(
            f"{told}; {', '.join(failing)} failed",
            "see in Alertmanager's log why: an address or a secret of that integration is wrong",
            RUNBOOK,
        )
    return passed(f"{told} within {seconds:.1f} s, none failed; look whether it came")


async def _receivers(run: Run, job: str) -> list[str]:
    """The receivers that the alert was routed to. Raises CheckFailed where it is muted."""
    asked = quote(f'job="{job}"')
    found = await run.alertmanager().json(f"/api/v2/alerts?filter={asked}")
    for alert in found:
        status = alert["status"]
        if status["state"] == "suppressed":
            by = ", ".join(status["silencedBy"] or status["inhibitedBy"])
            raise CheckFailed(
                f"the test alert is muted by {by}",
                "wait for its end, or expire the silence, and ask again",
                RUNBOOK,
            )
    return sorted({each["name"] for alert in found for each in alert["receivers"]})


async def _counted(run: Run) -> Counted:
    page = (await run.alertmanager().good("/metrics")).text
    counts: Counter[tuple[str, str]] = Counter()
    for name, integration, value in _COUNTER.findall(page):
        counts[name, integration] += int(float(value))
    return Counted(counts)


async def _post(run: Run, labels: dict[str, str], *, ends_in: float) -> None:
    alert: dict[str, Any] = {
        "labels": labels,
        "annotations": {
            "summary": "A test of the delivery of alerts: nothing is wrong",
            "description": "Sent by `aliaport doctor --test-alert`. It ends by itself.",
        },
        "endsAt": datetime.fromtimestamp(time.time() + ends_in, UTC).isoformat(),
    }
    endpoint = run.alertmanager()
    reply = await endpoint.post("/api/v2/alerts", [alert])
    if reply.status != 200:
        raise endpoint.failure(f"Alertmanager answers {reply.status} to an alert: {reply.begin}")
