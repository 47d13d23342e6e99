"""What /status tells: is everything well, and do strangers see no more than they may?"""

import re
from typing import Any

from aliaport.doctor.checks import Check, Visit
from aliaport.doctor.findings import Finding, Trouble, not_checked, passed
from aliaport.settings.model import OPEN_ENVIRONMENTS

_OF_OPERATORS = ("summary", "data", "where", "reason", "hint", "distribution")
"""Keys of probes and plugins that only the bearer of a token may see."""

_VERBOSE_SUMMARY = re.compile(r"^\[[+-]\][^\n]*\([^\n]*\)$", re.MULTILINE)


async def whole(visit: Visit) -> Finding:
    """Every probe is healthy and every plugin runs."""
    body = await _status(visit)
    ill = [_ill_probe(each) for each in body["probes"] if each["status"] != "healthy"]
    idle = [_idle_plugin(each) for each in body["plugins"] if each["state"] != "running"]
    problems = [*ill, *idle, *([body["reason"]] if "reason" in body else [])]
    if not problems and body["status"] == "healthy":
        probes, plugins = len(body["probes"]), len(body["plugins"])
        return passed(f"healthy: {probes} probes, {plugins} plugins and applications")
    more = "" if visit.places.status_token else "; with --status-token-file it tells the reasons"
    raise Trouble(
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


async def token(visit: Visit) -> Finding:
    """The token of the operators is recognised."""
    body = await _status(visit)
    if body["environment"] in OPEN_ENVIRONMENTS:
        return not_checked(f"the environment is {body['environment']}: everybody sees everything")
    if _details(body):
        return passed("the token is recognised: reasons and figures are shown")
    raise Trouble(
        "the service does not know the token",
        "give a token that stands in ALIAPORT_STATUS_TOKEN or in ALIAPORT_STATUS_TOKEN_FILE",
    )


async def hidden(visit: Visit) -> Finding:
    """A stranger sees status and codes, but no summaries, figures and reasons."""
    site = visit.service(detailed=True).without_token()
    reply = await site.good("/status")
    body = site.parsed(reply)["data"]
    environment = body["environment"]
    if environment in OPEN_ENVIRONMENTS:
        raise Trouble(
            f"the environment is {environment}: everybody sees everything",
            "set ENVIRONMENT=production, and start the service anew",
        )
    verbose = await visit.service().get("/ready?verbose")
    leaks = _details(body)
    if _VERBOSE_SUMMARY.search(verbose.text):
        leaks.append("summaries in /ready?verbose")
    if not leaks:
        return passed("without a token nothing but status and codes is shown")
    raise Trouble(
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


async def _status(visit: Visit) -> dict[str, Any]:
    site = visit.service(detailed=True)
    found: dict[str, Any] = (await site.json("/status"))["data"]
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
