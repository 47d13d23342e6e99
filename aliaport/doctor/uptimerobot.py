"""Are UptimeRobot's monitors of this installation active?

The spelling of its API v3 comes from programs that use it: UptimeRobot itself was not asked.
"""

from typing import Any
from urllib.parse import urlsplit

from aliaport.doctor.checks import UPTIMEROBOT, Check, Run
from aliaport.doctor.findings import CheckFailed, Finding, passed
from aliaport.doctor.http import Endpoint

MAX_PAGES = 20


async def monitors(run: Run) -> Finding:
    """At least one bears the name, and all that do are up."""
    targets = run.targets
    todo = "look whether the token is one of UptimeRobot's API v3"
    endpoint = Endpoint(
        run.session, targets.timeout, targets.uptimerobot, todo, "", targets.uptimerobot_token
    )
    name = targets.uptimerobot_name.casefold()
    own = [each for each in await _all(endpoint) if name in _told(each).casefold()]
    if not own:
        raise CheckFailed(
            f"no monitor has {targets.uptimerobot_name!r} in its name or address",
            "make the monitors, or name others by --uptimerobot-name",
        )
    bad = [f"{_told(each)} is {each['status']}" for each in own if each["status"] != "UP"]
    if bad:
        raise CheckFailed(
            "; ".join(bad), "resume what is paused; repair what is down", "UptimeProbeFailing"
        )
    return passed(f"{len(own)} monitors, all up")


async def _all(endpoint: Endpoint) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    path = "/monitors"
    for _ in range(MAX_PAGES):
        reply = await endpoint.get(path)
        if reply.status == 429:
            after = reply.headers.get("Retry-After", "60")
            raise CheckFailed("UptimeRobot answers 429: asked too often", f"ask again in {after} s")
        if reply.status != 200:
            raise endpoint.failure(f"{reply.url} answers {reply.status}: {reply.begin}")
        page = endpoint.parsed(reply)
        found += page["data"]
        # Only its query is taken: the token goes to no other host.
        query = urlsplit(page.get("nextLink") or "").query
        if not query or not page["data"]:
            break
        path = f"/monitors?{query}"
    return found


def _told(monitor: dict[str, Any]) -> str:
    return f"{monitor.get('friendlyName', '')} ({monitor.get('url', '')})"


CHECKS = (Check("uptimerobot.monitors", "UptimeRobot's monitors are up", monitors, UPTIMEROBOT),)
