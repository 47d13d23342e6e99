"""How the source is asked, and what each of its faults is called: real HTTP on loopback."""

import asyncio
from datetime import date
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from aliaport_currency_sync.bulletin import Fault, RefusedError
from aliaport_currency_sync.config import CurrencySyncConfig
from aliaport_currency_sync.source import NoFileError, Outage, Source, UnavailableError
from pydantic import HttpUrl

from aliaport.testing import FakeClock
from tests.support.service import free_port
from tests.support.tcmb import (
    Handler,
    Tcmb,
    archive_path,
    cut_off,
    document,
    endless,
    error_page,
    istanbul,
    respond_with,
    slow,
)

DAY = date(2026, 11, 24)
CLOCK = FakeClock(istanbul("2026-11-24 16:00"))


def source(address: str, *, interval: float = 0.0, timeout: float = 5.0) -> Source:
    config = CurrencySyncConfig(
        source=HttpUrl(address), request_interval=interval, request_timeout=timeout
    )
    return Source(config, CLOCK)


async def test_it_asks_slowly_on_one_connection_with_our_name(tcmb: Tcmb) -> None:
    days = [date(2026, 11, each) for each in (17, 18, 19, 20)]
    tcmb.publish(*days)
    asking = source(tcmb.address, interval=0.2)
    await asyncio.gather(*(asking.archived(day) for day in days))
    await asking.close()
    assert {each.agent for each in tcmb.requests} == {"aliaport-currency-sync/3.1.0"}
    assert len({each.peer for each in tcmb.requests}) == 1
    times = [each.at for each in tcmb.requests]
    # Some less than the interval: a busy server notes a request late, and the next one in time.
    assert all(later - earlier >= 0.1 for earlier, later in pairwise(times))
    assert tcmb.max_at_once == 1


async def test_a_missing_file_is_told_from_a_broken_server(tcmb: Tcmb) -> None:
    asking = source(tcmb.address)
    with pytest.raises(NoFileError):
        await asking.archived(DAY)
    with pytest.raises(UnavailableError, match=r"today\.xml does not exist"):
        await asking.newest()
    await asking.close()


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (error_page(500), Outage.HTTP_ERROR),
        (error_page(403), Outage.HTTP_ERROR),
        (cut_off(document(DAY)), Outage.CUT_OFF),
        (slow(document(DAY)), Outage.TIMEOUT),
        (endless(), Fault.TOO_LARGE),
        (error_page(200), Fault.HTML_PAGE),
        (respond_with(b""), Fault.NOT_XML),
        (respond_with(document(DAY)[:800]), Fault.NOT_XML),
        (respond_with(document(date(2026, 11, 23))), Fault.WRONG_DATE),
        (respond_with(document(DAY).decode().encode("iso-8859-9")), Fault.NOT_XML),
    ],
)
async def test_every_fault_of_the_source_has_its_name(
    tcmb: Tcmb, answer: Handler, fault: Outage | Fault
) -> None:
    tcmb.behave(archive_path(DAY), answer)
    asking = source(tcmb.address, timeout=2.0)
    with pytest.raises((UnavailableError, RefusedError)) as raised:
        await asking.archived(DAY)
    error: Any = raised.value
    found = error.outage if isinstance(error, UnavailableError) else error.fault
    assert found is fault, error
    # The next answer is a good one again.
    tcmb.behave(archive_path(DAY), None)
    tcmb.publish(DAY)
    assert (await asking.archived(DAY)).day == DAY
    await asking.close()


async def test_a_declared_encoding_wins_over_the_header(tcmb: Tcmb) -> None:
    text = document(DAY).decode().replace('encoding="UTF-8"', 'encoding="ISO-8859-9"')
    tcmb.behave("today.xml", respond_with(text.encode("iso-8859-9"), content_type="text/xml"))
    asking = source(tcmb.address)
    names = {rate.name for rate in (await asking.newest()).rates}
    await asking.close()
    assert "İNGİLİZ STERLİNİ" in names


async def test_packed_answers_are_not_unpacked(tcmb: Tcmb) -> None:
    async def packed(_request: web.Request) -> web.StreamResponse:
        response = web.Response(body=document(DAY), content_type="application/xml")
        response.enable_compression(web.ContentCoding.gzip)
        return response

    tcmb.behave("today.xml", packed)
    asking = source(tcmb.address)
    with pytest.raises(RefusedError, match="not well-formed XML"):
        await asking.newest()
    await asking.close()


async def test_redirects_are_followed_within_reason(tcmb: Tcmb) -> None:
    async def moved(_request: web.Request) -> web.StreamResponse:
        raise web.HTTPMovedPermanently("/kurlar/today.xml")

    tcmb.publish(DAY)
    tcmb.behave(archive_path(DAY), moved)
    asking = source(tcmb.address)
    assert (await asking.archived(DAY)).day == DAY
    tcmb.behave("today.xml", moved)
    with pytest.raises(UnavailableError):
        await asking.newest()
    await asking.close()


async def test_nobody_at_the_address(tcmb: Tcmb) -> None:
    for address in (f"http://127.0.0.1:{free_port()}/kurlar", "http://no-such-host.invalid/kurlar"):
        asking = source(address)
        with pytest.raises(UnavailableError) as raised:
            await asking.newest()
        assert raised.value.outage is Outage.UNREACHABLE
        await asking.close()
