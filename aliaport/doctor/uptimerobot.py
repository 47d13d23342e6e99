"""Are UptimeRobot's monitors of this installation active?

The spelling of its API v3 comes from programs that use it: UptimeRobot itself was not asked.
"""

from typing import Any
from urllib.parse import urlsplit

from aliaport.doctor.checks import UPTIMEROBOT, Check, Visit
from aliaport.doctor.findings import Finding, Trouble, passed
from aliaport.doctor.http import Site

MOST_PAGES = 20


async def monitors(visit: Visit) -> Finding:
    """At least one bears the name, and all that do are up."""
    places = visit.places
    todo = "look whether the token is one of UptimeRobot's API v3"
    site = Site(
        visit.session, places.timeout, places.uptimerobot, todo, "", places.uptimerobot_token
    )
    name = places.uptimerobot_name.casefold()
    own = [each for each in await _all(site) if name in _told(each).casefold()]
    if not own:
        raise Trouble(
            f"no monitor has {places.uptimerobot_name!r} in its name or address",
            "make the monitors, or name others by --uptimerobot-name",
        )
    bad = [f"{_told(each)} is {each['status']}" for each in own if each["status"] != "UP"]
    if bad:
        raise Trouble(
            "; ".join(bad), "resume what is paused; repair what is down", "UptimeProbeFailing"
        )
    return passed(f"{len(own)} monitors, all up")


async def _all(site: Site) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    path = "/monitors"
    for _ in range(MOST_PAGES):
        reply = await site.get(path)
        if reply.status == 429:
            after = reply.headers.get("Retry-After", "60")
            raise Trouble("UptimeRobot answers 429: asked too often", f"ask again in {after} s")
        if reply.status != 200:
            raise site.trouble(f"{reply.url} answers {reply.status}: {reply.begin}")
        page = site.parsed(reply)
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
