"""Tests three replicas as processes: one downloads, and another takes over when it dies."""

import asyncio
import signal
import time
from datetime import UTC, date, datetime, timedelta

import pytest
from aiohttp import web
from aliaport_currency_sync.business_days import BusinessDays, DayKind, today

from tests.support.fixtures import Launch, Rows
from tests.support.postgres import TcpPostgres
from tests.support.service import Service
from tests.support.tcmb import Tcmb, archive_path, document
from tests.support.waiting import wait_until

STANDBY = 1.0
"""Seconds after which a replica checks again whether it must take over."""


def past_days() -> list[date]:
    now = today(datetime.now(UTC))
    days = BusinessDays()
    return [
        day
        for day in days.open_days(now - timedelta(days=40), now - timedelta(days=1))
        if days.kind(day) is DayKind.BUSINESS
    ]


def leaders(replicas: list[Service]) -> list[Service]:
    line = "\naliaport_currency_sync_leader 1.0\n"
    return [replica for replica in replicas if line in replica.get("/metrics").text]


@pytest.mark.timeout(300)
def test_another_replica_takes_over_when_the_leader_is_killed_during_a_run(
    launch: Launch, server: TcpPostgres, tcmb: Tcmb, database: str, rows: Rows
) -> None:
    days = past_days()
    tcmb.publish(*days)
    held = days[len(days) // 2]
    arrived, released = asyncio.Event(), asyncio.Event()

    async def hold(_request: web.Request) -> web.StreamResponse:
        """Keep the first request for this day waiting; respond to later ones."""
        if not arrived.is_set():
            arrived.set()
            await released.wait()
        return web.Response(body=document(held), content_type="application/xml")

    tcmb.behave(archive_path(held), hold)
    replicas = [
        launch(
            allow=("currency_sync",),
            folder=f"replica-{number}",
            wait="",
            environ={
                "DATABASE_URL": database,
                "ALIAPORT_PLUGINS__CURRENCY_SYNC__SOURCE": tcmb.address,
                "ALIAPORT_PLUGINS__CURRENCY_SYNC__FIRST_DAY": str(days[0]),
                "ALIAPORT_PLUGINS__CURRENCY_SYNC__REQUEST_INTERVAL": "0.01",
                # Long enough that the leader is killed while it waits for the response.
                "ALIAPORT_PLUGINS__CURRENCY_SYNC__REQUEST_TIMEOUT": "120",
                "ALIAPORT_PLUGINS__CURRENCY_SYNC__STANDBY_INTERVAL": str(STANDBY),
            },
        )
        for number in range(3)
    ]
    for replica in replicas:
        replica.wait_started()
    wait_until(arrived.is_set, "the leader is in a run")
    (leader,) = leaders(replicas)
    followers = [replica for replica in replicas if replica is not leader]
    for follower in followers:
        assert "currency_sync.leads" not in [event["message"] for event in follower.events()]
    leader.signal(signal.SIGKILL)
    leader.wait_ended()
    killed = time.monotonic()
    wait_until(lambda: len(leaders(followers)) == 1, "another replica leads")
    takeover = time.monotonic() - killed
    print(f"takeover after SIGKILL: {takeover:.2f} s at a standby interval of {STANDBY:g} s")
    stored = "SELECT day FROM aliaport_currency_bulletins ORDER BY day"
    wait_until(lambda: set(map(str, days)) <= set(rows(stored)), "every bulletin is stored", 60)
    tcmb.in_its_loop(released.set)
    once = "SELECT count(*), count(DISTINCT day), max(revision) FROM aliaport_currency_bulletins"
    (counts,) = rows(once)
    bulletins, distinct, revisions = map(int, counts.split("|"))
    assert bulletins == distinct == len(days)
    assert revisions == 1
    rates = "SELECT count(*) FROM aliaport_currency_rates"
    assert rows(rates) == [str(9 * len(days))], "a bulletin is partially stored"
    requested = [path for path in tcmb.paths() if path in {archive_path(day) for day in days}]
    # On a business day after 15:30 in Istanbul, the newest bulletin comes as today.xml.
    older = {archive_path(day) for day in days[:-1]}
    assert older <= set(requested), sorted(older - set(requested))
    assert len(requested) <= len(days) + 1, "a day other than the held one was requested twice"
    # All replicas show the same state, including the standby.
    for follower in followers:
        (probe,) = [row for row in follower.get("/status").json["data"]["probes"]
                    if row["name"] == "currency_rates"]  # fmt: skip
        assert probe["code"] in ("ok", "late"), probe
    # A clean shutdown hands over at once.
    (leader,) = leaders(followers)
    (last,) = [follower for follower in followers if follower is not leader]
    leader.signal(signal.SIGTERM)
    assert leader.wait_ended() == 0
    wait_until(lambda: leaders([last]) == [last], "the last replica leads")
