"""Runs all checks: each in a bulkhead with a deadline, those that do not disturb others at once."""

import asyncio
import re
from dataclasses import dataclass

from aliaport.doctor import (
    alertmanager,
    certificates,
    configuration,
    grafana,
    metrics_page,
    prometheus,
    service,
    status_page,
    uptimerobot,
)
from aliaport.doctor.checks import Check, Run
from aliaport.doctor.findings import CheckFailed, Finding, Verdict
from aliaport.doctor.http import open_session, tls_context
from aliaport.doctor.targets import Targets
from aliaport.redaction import MASK, redact

CHECKS: tuple[Check, ...] = (
    *service.CHECKS,
    *status_page.CHECKS,
    *metrics_page.CHECKS,
    *certificates.CHECKS,
    *configuration.CHECKS,
    *prometheus.CHECKS,
    *alertmanager.CHECKS,
    *grafana.CHECKS,
    *uptimerobot.CHECKS,
)
"""The whole checklist, in the order in which it is shown."""

LONGEST = 500
"""Characters of a text that are shown."""

REQUESTS = 6
"""Timeouts that one check may take: each asks a few times, one after the other."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the checklist with what was found."""

    id: str
    title: str
    finding: Finding


async def examine(targets: Targets) -> list[Line]:
    """Run the checklist. Raises OSError or ssl.SSLError where --ca-file is of no use."""
    context = tls_context(targets.ca_file)
    async with open_session(context, targets.timeout) as session:
        run = Run(targets, session, context)
        # Alone, so that what the others ask is not measured.
        first = await line_of(service.LATENCY, run)
        others = [check for check in CHECKS if check is not service.LATENCY]
        lines = [first, *await asyncio.gather(*(line_of(check, run) for check in others))]
    order = [check.id for check in CHECKS]
    return sorted(lines, key=lambda line: order.index(line.id))


async def line_of(check: Check, run: Run) -> Line:
    """What one check found, fit to be shown; whatever it does, it ends and raises nothing."""
    finding = check.missing(run.targets) or await _found(check, run)
    secrets = run.targets.secrets
    return Line(
        check.id,
        check.title,
        Finding(
            finding.verdict,
            clean(finding.seen, secrets),
            clean(finding.todo, secrets),
            finding.runbook,
        ),
    )


async def _found(check: Check, run: Run) -> Finding:
    targets = run.targets
    seconds = targets.timeout * REQUESTS + (targets.test_alert_wait if targets.test_alert else 0)
    try:
        async with asyncio.timeout(seconds):
            return await check.look(run)
    except CheckFailed as failed:
        return failed.finding
    except TimeoutError:
        return Finding(
            Verdict.FAIL, f"not done within {seconds:g} s", "see why it is slow, or raise --timeout"
        )
    except Exception as error:  # the bulkhead of one line
        return Finding(
            Verdict.FAIL,
            f"the answer has not the form that doctor knows: {type(error).__name__}: {error}",
            "see whether the address is right, and whether the program there is newer than doctor",
        )


def clean(text: str, secrets: tuple[str, ...]) -> str:
    """One printable line without secrets: what a server answered is not to be trusted."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    text = redact(re.sub(r"\s+", " ", text))
    text = "".join(each if each.isprintable() else "?" for each in text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
