"""What /status tells: is everything well, and do strangers see no more than they may?"""

import re
from typing import Any

from aliaport.doctor.checks import Check, Run
from aliaport.doctor.findings import CheckFailed, Finding, not_checked, passed
from aliaport.settings.model import OPEN_ENVIRONMENTS

_OF_OPERATORS = ("summary", "data", "where", "reason", "hint", "distribution")
"""Keys of probes and plugins that only the bearer of a token may see."""

_VERBOSE_SUMMARY = re.compile(r"^\[[+-]\][^\n]*\([^\n]*\)$", re.MULTILINE)


async def whole(run: Run) -> Finding:
    """Every probe is healthy and every plugin runs."""
    body = await _status(run)
    ill = [_ill_probe(each) for each in body["probes"] if each["status"] != "healthy"]
    idle = [_idle_plugin(each) for each in body["plugins"] if each["state"] != "running"]
    problems = [*ill, *idle, *([body["reason"]] if "reason" in body else [])]
    if not problems and body["status"] == "healthy":
        probes, plugins = len(body["probes"]), len(body["plugins"])
        return passed(f"healthy: {probes} probes, {plugins} plugins and applications")
    more = "" if run.targets.status_token else "; with --status-token-file it tells the reasons"
    raise CheckFailed(
        f"{body['status']}: {'; '.join(problems)}",
        f"repair what is named here{more}",
        "ProbeFailing" if ill else "PluginRejected",
    )


def _ill_probe(probe: dict[str, Any]) -> str:
    summary = f" ({probe['summary']})" if probe.get("summary") else ""
    return f"probe {probe['name']} is {probe['status']}: {probe['code']}{summary}"


def _idle_plugin(plugin: dict[str, Any]) -> str:
    stage = f" at {plugin['stage']}" if plugin.get("stage") else ""
    reason = f" ({plugin['reason']})" if plugin.get("reason") else ""
    return f"{plugin['kind']} {plugin['name']} is {plugin['state']}{stage}{reason}"


async def token(run: Run) -> Finding:
    """The token of the operators is recognised."""
    body = await _status(run)
    if body["environment"] in OPEN_ENVIRONMENTS:
        return not_checked(f"the environment is {body['environment']}: everybody sees everything")
    if _details(body):
        return passed("the token is recognised: reasons and figures are shown")
    raise CheckFailed(
        "the service does not know the token",
        "give a token that stands in ALIAPORT_STATUS_TOKEN or in ALIAPORT_STATUS_TOKEN_FILE",
    )


async def hidden(run: Run) -> Finding:
    """A stranger sees status and codes, but no summaries, figures and reasons."""
    endpoint = run.service(detailed=True).without_token()
    reply = await endpoint.good("/status")
    body = endpoint.parsed(reply)["data"]
    environment = body["environment"]
    if environment in OPEN_ENVIRONMENTS:
        raise CheckFailed(
            f"the environment is {environment}: everybody sees everything",
            "set ENVIRONMENT=production, and start the service anew",
        )
    verbose = await run.service().get("/ready?verbose")
    leaks = _details(body)
    if _VERBOSE_SUMMARY.search(verbose.text):
        leaks.append("summaries in /ready?verbose")
    if not leaks:
        return passed("without a token nothing but status and codes is shown")
    raise CheckFailed(
        f"without a token one sees: {', '.join(leaks)}",
        "look what stands between: the service itself shows this to nobody without a token",
    )


def _details(body: dict[str, Any]) -> list[str]:
    return [
        f"{each['name']}.{key}"
        for each in (*body["probes"], *body["plugins"])
        for key in _OF_OPERATORS
        if key in each
    ]


async def _status(run: Run) -> dict[str, Any]:
    endpoint = run.service(detailed=True)
    found: dict[str, Any] = (await endpoint.json("/status"))["data"]
    return found


CHECKS = (
    Check("service.status", "/status shows no fault", whole),
    Check(
        "service.status_token",
        "The operators' token works",
        token,
        (("status_token", "--status-token-file"),),
    ),
    Check("service.status_hidden", "Strangers see no details", hidden),
)
