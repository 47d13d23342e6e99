"""Checks that UptimeRobot's monitors of this installation are up.

The field names of its API v3 come from programs that use it; this was never run against UptimeRobot
itself.
"""

from typing import Any
from urllib.parse import urlsplit

from aliaport.doctor.checks import UPTIMEROBOT, Check, Run
from aliaport.doctor.findings import CheckFailed, Finding, passed
from aliaport.doctor.http import Endpoint

MAX_PAGES = 20


async def monitors(run: Run) -> Finding:
    """Check that at least one monitor has the name, and that all that have it are up."""
    targets = run.targets
    todo = "check that the token is valid for UptimeRobot's API v3"
    endpoint = Endpoint(
        run.session, targets.timeout, targets.uptimerobot, todo, "", targets.uptimerobot_token
    )
    name = targets.uptimerobot_name.casefold()
    own = [monitor for monitor in await _all(endpoint) if name in _label(monitor).casefold()]
    if not own:
        raise CheckFailed(
            f"no monitor has {targets.uptimerobot_name!r} in its name or address",
            "create the monitors, or select others with --uptimerobot-name",
        )
    bad = [
        f"{_label(monitor)} is {monitor['status']}" for monitor in own if monitor["status"] != "UP"
    ]
    if bad:
        raise CheckFailed(
            "; ".join(bad), "resume paused monitors; fix what is down", "UptimeProbeFailing"
        )
    return passed(f"all up; monitors: {len(own)}")


async def _all(endpoint: Endpoint) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    path = "/monitors"
    for _ in range(MAX_PAGES):
        reply = await endpoint.get(path)
        if reply.status == 429:
            after = reply.headers.get("Retry-After", "60")
            raise CheckFailed(
                "UptimeRobot responded 429: too many requests", f"try again in {after} s"
            )
        if reply.status != 200:
            raise endpoint.failure(f"{reply.url} responded {reply.status}: {reply.excerpt}")
        page = endpoint.parsed(reply)
        found += page["data"]
        # Only its query is used, so that the token is not sent to another host.
        query = urlsplit(page.get("nextLink") or "").query
        if not query or not page["data"]:
            break
        path = f"/monitors?{query}"
    return found


def _label(monitor: dict[str, Any]) -> str:
    return f"{monitor.get('friendlyName', '')} ({monitor.get('url', '')})"


CHECKS = (Check("uptimerobot.monitors", "UptimeRobot's monitors are up", monitors, UPTIMEROBOT),)
