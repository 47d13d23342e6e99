"""Checks against a stand-in for UptimeRobot's API v3, as other programs use it: the real one is not here."""

from typing import Any

import pytest
from aiohttp import web

from aliaport.doctor.findings import Finding, Verdict
from aliaport.doctor.targets import Targets
from tests.doctor.conftest import StandIn
from tests.doctor.running import found

KEY = "ur1-read-only-key"


def monitor(name: str, status: str = "UP") -> dict[str, str]:
    return {"friendlyName": name, "url": "https://aliaport.com/ready", "status": status}


async def _checked(stand_in: StandIn, pages: list[dict[str, Any]], key: str = KEY) -> Finding:
    async def monitors(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"message": "Unauthorized"}, status=401)
        return web.json_response(pages[int(request.query.get("cursor", "0"))])

    url = await stand_in({"/v3/monitors": monitors})
    here = Targets(
        "http://127.0.0.1:1",
        uptimerobot=f"{url}/v3",
        uptimerobot_token=key,
        uptimerobot_name="Aliaport",
    )
    return await found("uptimerobot.monitors", here)


async def test_all_pages_are_read_from_the_same_host(stand_in: StandIn) -> None:
    elsewhere = "http://elsewhere.test/v3/monitors?cursor=1"
    pages: list[dict[str, Any]] = [
        {"data": [monitor("aliaport health")], "nextLink": elsewhere},
        {"data": [monitor("aliaport ready")], "nextLink": None},
    ]
    finding = await _checked(stand_in, pages)
    assert (finding.verdict, finding.seen) == (Verdict.PASS, "all up; monitors: 2")


@pytest.mark.parametrize("status", ["PAUSED", "DOWN", "NOT_CHECKED_YET"])
async def test_a_monitor_that_is_not_up_fails(stand_in: StandIn, status: str) -> None:
    finding = await _checked(stand_in, [{"data": [monitor("aliaport health", status)]}])
    assert (finding.verdict, f"is {status}" in finding.seen) == (Verdict.FAIL, True)


async def test_monitors_of_other_services_do_not_count(stand_in: StandIn) -> None:
    other = {"friendlyName": "shop", "url": "https://shop.test", "status": "DOWN"}
    finding = await _checked(stand_in, [{"data": [other, monitor("health")]}])
    assert finding.verdict is Verdict.PASS
    alone = await _checked(stand_in, [{"data": [other]}])
    assert (alone.verdict, "no monitor has 'Aliaport'" in alone.seen) == (Verdict.FAIL, True)


async def test_a_wrong_key_and_a_rate_limit_fail(stand_in: StandIn) -> None:
    finding = await _checked(stand_in, [], key="ur1-wrong-and-secret")
    assert (finding.verdict, "responded 401" in finding.seen) == (Verdict.FAIL, True)
    assert "ur1-wrong" not in str(finding)

    async def limited(request: web.Request) -> web.Response:
        return web.json_response({}, status=429, headers={"Retry-After": "17"})

    url = await stand_in({"/monitors": limited})
    here = Targets("http://a", uptimerobot=url, uptimerobot_token=KEY, uptimerobot_name="a")
    finding = await found("uptimerobot.monitors", here)
    assert finding.todo == "try again in 17 s"
