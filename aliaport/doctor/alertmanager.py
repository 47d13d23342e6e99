"""Does Alertmanager tell people, by which ways, and does it get Prometheus' alerts?"""

from typing import Any
from urllib.parse import quote

from aliaport.doctor.checks import ALERTMANAGER, Check, Run
from aliaport.doctor.delivery import delivery
from aliaport.doctor.findings import CheckFailed, Finding, not_checked, passed
from aliaport.doctor.receivers import integrations

WATCHDOG = "/api/v2/alerts?filter=" + quote('alertname="Watchdog"')


async def is_ready(run: Run) -> Finding:
    """It takes alerts."""
    endpoint = run.alertmanager()
    await endpoint.good("/-/ready")
    status = await endpoint.json("/api/v2/status")
    return passed(f"ready, version {status['versionInfo']['version']}")


async def slack(run: Run) -> Finding:
    """A route leads to Slack."""
    return _by(await _ways(run), "slack", "Slack")


async def email(run: Run) -> Finding:
    """A route leads to mail."""
    return _by(await _ways(run), "email", "mail")


async def sms(run: Run) -> Finding:
    """A route leads to SMS by SNS; another provider cannot be told by the configuration."""
    ways = await _ways(run)
    if any("sns" in kinds for kinds in ways.values()):
        return _by(ways, "sns", "SMS (SNS)")
    return not_checked(
        "no receiver has sns_configs; an SMS provider behind a webhook cannot be told from others",
        "if nothing sends SMS, see deploy/alertmanager/README.md",
    )


def _by(ways: dict[str, set[str]], kind: str, name: str) -> Finding:
    with_it = sorted(receiver for receiver, kinds in ways.items() if kind in kinds)
    if with_it:
        return passed(f"receivers with {name}: {', '.join(with_it)}")
    others = sorted(set().union(*ways.values()))
    raise CheckFailed(
        f"no route leads to {name}; there are: {', '.join(others) or 'none'}",
        f"add {kind}_configs to a receiver as in deploy/alertmanager/alertmanager.yml, and reload",
        "AlertmanagerConfigReloadFailed",
    )


async def _ways(run: Run) -> dict[str, set[str]]:
    status = await run.alertmanager().json("/api/v2/status")
    return integrations(status["config"]["original"])


async def watchdog(run: Run) -> Finding:
    """The alert that always fires has come, and goes on to somebody."""
    found: list[dict[str, Any]] = await run.alertmanager().json(WATCHDOG)
    if not found:
        raise CheckFailed(
            "Watchdog, which always fires, is not there: Prometheus' alerts do not arrive",
            "see the lines prometheus.rules and prometheus.alertmanager",
            "Watchdog",
        )
    muted = [each for each in found if each["status"]["state"] == "suppressed"]
    if muted:
        silences = ", ".join(muted[0]["status"]["silencedBy"])
        raise CheckFailed(
            f"Watchdog is suppressed{f' by silence {silences}' if silences else ''}",
            "expire the silence: without Watchdog the heartbeat outside stops",
            "Watchdog",
        )
    ways = await _ways(run)
    names = sorted({each["name"] for alert in found for each in alert["receivers"]})
    kinds = sorted({kind for name in names for kind in ways.get(name, set())})
    if not kinds:
        raise CheckFailed(
            f"Watchdog arrives, but its receiver {', '.join(names)} tells nobody",
            "give it a webhook of a watch outside, as deploy/alertmanager/README.md says",
            "Watchdog",
        )
    return passed(f"Watchdog arrives, and goes to {', '.join(names)} ({', '.join(kinds)})")


CHECKS = (
    Check("alertmanager.ready", "Alertmanager is ready", is_ready, ALERTMANAGER),
    Check("alertmanager.slack", "Alerts go to Slack", slack, ALERTMANAGER),
    Check("alertmanager.email", "Alerts go to mail", email, ALERTMANAGER),
    Check("alertmanager.sms", "Alerts go to SMS", sms, ALERTMANAGER),
    Check("alertmanager.watchdog", "Watchdog arrives at Alertmanager", watchdog, ALERTMANAGER),
    Check(
        "alertmanager.delivery",
        "A test alert is delivered",
        delivery,
        (*ALERTMANAGER, ("test_alert", "--test-alert")),
    ),
)
