"""Runs all checks, each in a bulkhead with a deadline; all but the latency check concurrently."""

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
from aliaport.doctor.http import AGENT, tls_context
from aliaport.doctor.targets import Targets
from aliaport.redaction import MASK, redact
from aliaport.upstream import open_session

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
"""The whole checklist, in display order."""

MAX_TEXT = 500
"""Characters of a text to show."""

MAX_TIMEOUTS = 6
"""Timeouts that one check may take, since it sends several requests, one after the other."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the checklist with its finding."""

    id: str
    title: str
    finding: Finding


async def examine(targets: Targets) -> list[Line]:
    """Run the checklist. Raises OSError or ssl.SSLError if --ca-file cannot be used."""
    context = tls_context(targets.ca_file)
    async with open_session(agent=AGENT, tls=context) as session:
        run = Run(targets, session, context)
        # Alone, so that the requests of the other checks do not slow it down.
        first = await line_of(service.LATENCY, run)
        others = [check for check in CHECKS if check is not service.LATENCY]
        lines = [first, *await asyncio.gather(*(line_of(check, run) for check in others))]
    order = [check.id for check in CHECKS]
    return sorted(lines, key=lambda line: order.index(line.id))


async def line_of(check: Check, run: Run) -> Line:
    """Run one check and return its finding without secrets; always ends, and never raises."""
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
    seconds = targets.timeout * MAX_TIMEOUTS + (
        targets.test_alert_wait if targets.test_alert else 0
    )
    try:
        async with asyncio.timeout(seconds):
            return await check.look(run)
    except CheckFailed as failed:
        return failed.finding
    except TimeoutError:
        return Finding(
            Verdict.FAIL,
            f"not finished within {seconds:g} s",
            "find out why it is slow, or increase --timeout",
        )
    except Exception as error:  # the bulkhead of one line
        return Finding(
            Verdict.FAIL,
            f"unexpected response format: {type(error).__name__}: {error}",
            "check the address; the program there may be newer than doctor",
        )


def clean(text: str, secrets: tuple[str, ...]) -> str:
    """Return `text` as one printable line without secrets, since responses are not trusted."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    text = redact(re.sub(r"\s+", " ", text))
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
