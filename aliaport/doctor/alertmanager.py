"""Checks that Alertmanager is ready, notifies people, and receives Prometheus' alerts."""

from typing import Any
from urllib.parse import quote

from aliaport.doctor.checks import ALERTMANAGER, Check, Run
from aliaport.doctor.delivery import delivery
from aliaport.doctor.findings import CheckFailed, Finding, not_checked, passed
from aliaport.doctor.receivers import integrations

WATCHDOG = "/api/v2/alerts?filter=" + quote('alertname="Watchdog"')


async def is_ready(run: Run) -> Finding:
    """Check that Alertmanager accepts alerts."""
    endpoint = run.alertmanager()
    await endpoint.get_ok("/-/ready")
    status = await endpoint.json("/api/v2/status")
    return passed(f"ready, version {status['versionInfo']['version']}")


async def slack(run: Run) -> Finding:
    """Check that a route leads to Slack."""
    return _routed_to(await _integrations(run), "slack", "Slack")


async def email(run: Run) -> Finding:
    """Check that a route leads to email."""
    return _routed_to(await _integrations(run), "email", "email")


async def sms(run: Run) -> Finding:
    """Check that a route leads to SNS; the configuration does not show other SMS providers."""
    routed = await _integrations(run)
    if any("sns" in kinds for kinds in routed.values()):
        return _routed_to(routed, "sns", "SMS (SNS)")
    return not_checked(
        "no receiver has sns_configs; an SMS provider behind a webhook cannot be recognised",
        "if no webhook sends SMS, set it up as in deploy/alertmanager/README.md",
    )


def _routed_to(routed: dict[str, set[str]], kind: str, name: str) -> Finding:
    receivers = sorted(receiver for receiver, kinds in routed.items() if kind in kinds)
    if receivers:
        return passed(f"receivers with {name}: {', '.join(receivers)}")
    others = sorted(set().union(*routed.values()))
    raise CheckFailed(
        f"no route leads to {name}; routes lead only to: {', '.join(others) or 'nothing'}",
        f"add {kind}_configs to a receiver as in deploy/alertmanager/alertmanager.yml, and reload",
        "AlertmanagerConfigReloadFailed",
    )


async def _integrations(run: Run) -> dict[str, set[str]]:
    status = await run.alertmanager().json("/api/v2/status")
    return integrations(status["config"]["original"])


async def watchdog(run: Run) -> Finding:
    """Check that the alert that always fires arrives, and that somebody is notified."""
    found: list[dict[str, Any]] = await run.alertmanager().json(WATCHDOG)
    if not found:
        raise CheckFailed(
            "Watchdog, which always fires, is missing: Prometheus' alerts do not arrive",
            "see the results of prometheus.rules and prometheus.alertmanager",
            "Watchdog",
        )
    muted = [alert for alert in found if alert["status"]["state"] == "suppressed"]
    if muted:
        silences = ", ".join(muted[0]["status"]["silencedBy"])
        raise CheckFailed(
            f"Watchdog is suppressed{f' by silence {silences}' if silences else ''}",
            "expire the silence: without Watchdog, the external heartbeat stops",
            "Watchdog",
        )
    routed = await _integrations(run)
    names = sorted({receiver["name"] for alert in found for receiver in alert["receivers"]})
    kinds = sorted({kind for name in names for kind in routed.get(name, set())})
    if not kinds:
        raise CheckFailed(
            f"Watchdog arrives, but its receiver {', '.join(names)} notifies nobody",
            "add the webhook of an external heartbeat, as in deploy/alertmanager/README.md",
            "Watchdog",
        )
    return passed(f"Watchdog arrives and is routed to {', '.join(names)} ({', '.join(kinds)})")


CHECKS = (
    Check("alertmanager.ready", "Alertmanager is ready", is_ready, ALERTMANAGER),
    Check("alertmanager.slack", "Alerts go to Slack", slack, ALERTMANAGER),
    Check("alertmanager.email", "Alerts go to email", email, ALERTMANAGER),
    Check("alertmanager.sms", "Alerts go to SMS", sms, ALERTMANAGER),
    Check("alertmanager.watchdog", "Watchdog arrives at Alertmanager", watchdog, ALERTMANAGER),
    Check(
        "alertmanager.delivery",
        "A test alert is delivered",
        delivery,
        (*ALERTMANAGER, ("test_alert", "--test-alert")),
    ),
)
