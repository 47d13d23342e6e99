"""Checks that /status reports no problems, and hides details from anonymous callers."""

import re
from typing import Any

from aliaport.doctor.checks import Check, Run
from aliaport.doctor.findings import CheckFailed, Finding, not_checked, passed
from aliaport.settings.model import OPEN_ENVIRONMENTS

_DETAILS = ("summary", "data", "where", "reason", "hint", "distribution")
"""Keys of probes and plugins that are shown only with a token."""

_VERBOSE_SUMMARY = re.compile(r"^\[[+-]\][^\n]*\([^\n]*\)$", re.MULTILINE)


async def healthy(run: Run) -> Finding:
    """Check that every probe is healthy and every plugin runs."""
    body = await _status(run)
    failing = [_failing_probe(probe) for probe in body["probes"] if probe["status"] != "healthy"]
    idle = [_idle_plugin(plugin) for plugin in body["plugins"] if plugin["state"] != "running"]
    problems = [*failing, *idle, *([body["reason"]] if "reason" in body else [])]
    if not problems and body["status"] == "healthy":
        probes, plugins = len(body["probes"]), len(body["plugins"])
        return passed(f"healthy; probes: {probes}, plugins and applications: {plugins}")
    more = "" if run.targets.status_token else "; --status-token-file shows the reasons"
    raise CheckFailed(
        f"{body['status']}: {'; '.join(problems)}",
        f"fix what is listed here{more}",
        "ProbeFailing" if failing else "PluginRejected",
    )


def _failing_probe(probe: dict[str, Any]) -> str:
    summary = f" ({probe['summary']})" if probe.get("summary") else ""
    return f"probe {probe['name']} is {probe['status']}: {probe['code']}{summary}"


def _idle_plugin(plugin: dict[str, Any]) -> str:
    stage = f" at {plugin['stage']}" if plugin.get("stage") else ""
    reason = f" ({plugin['reason']})" if plugin.get("reason") else ""
    return f"{plugin['kind']} {plugin['name']} is {plugin['state']}{stage}{reason}"


async def token(run: Run) -> Finding:
    """Check that the service accepts the token."""
    body = await _status(run)
    if body["environment"] in OPEN_ENVIRONMENTS:
        return not_checked(
            f"the environment is {body['environment']}, where everyone sees everything"
        )
    if _details(body):
        return passed("the token is accepted: reasons and values are shown")
    raise CheckFailed(
        "the service does not accept the token",
        "pass a token from ALIAPORT_STATUS_TOKEN or ALIAPORT_STATUS_TOKEN_FILE",
    )


async def hidden(run: Run) -> Finding:
    """Check that anonymous callers see status and codes, but no summaries, values or reasons."""
    endpoint = run.service(detailed=True).without_token()
    reply = await endpoint.get_ok("/status")
    body = endpoint.parsed(reply)["data"]
    environment = body["environment"]
    if environment in OPEN_ENVIRONMENTS:
        raise CheckFailed(
            f"the environment is {environment}, where everyone sees everything",
            "set ENVIRONMENT=production and restart the service",
        )
    verbose = await run.service().get("/ready?verbose")
    leaks = _details(body)
    if _VERBOSE_SUMMARY.search(verbose.text):
        leaks.append("summaries in /ready?verbose")
    if not leaks:
        return passed("without a token, only status and codes are shown")
    raise CheckFailed(
        f"anonymous callers see {', '.join(leaks)}",
        "check the proxies in between: the service itself hides this without a token",
    )


def _details(body: dict[str, Any]) -> list[str]:
    return [
        f"{row['name']}.{key}"
        for row in (*body["probes"], *body["plugins"])
        for key in _DETAILS
        if key in row
    ]


async def _status(run: Run) -> dict[str, Any]:
    endpoint = run.service(detailed=True)
    found: dict[str, Any] = (await endpoint.json("/status"))["data"]
    return found


CHECKS = (
    Check("service.status", "/status reports no problems", healthy),
    Check(
        "service.status_token",
        "The operators' token works",
        token,
        (("status_token", "--status-token-file"),),
    ),
    Check("service.status_hidden", "Anonymous callers see no details", hidden),
)
