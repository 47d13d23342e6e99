"""Tests requests to the source and the names of its faults: real HTTP on loopback."""

import asyncio
import ssl
from datetime import date
from itertools import pairwise
from typing import Any

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer
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


def make_source(address: str, *, interval: float = 0.0, timeout: float = 5.0) -> Source:
    config = CurrencySyncConfig(
        source=HttpUrl(address), request_interval=interval, request_timeout=timeout
    )
    return Source(config, CLOCK)


async def test_requests_are_paced_on_one_connection_with_a_user_agent(tcmb: Tcmb) -> None:
    days = [date(2026, 11, number) for number in (17, 18, 19, 20)]
    tcmb.publish(*days)
    source = make_source(tcmb.address, interval=0.2)
    await asyncio.gather(*(source.archived(day) for day in days))
    await source.close()
    assert {request.agent for request in tcmb.requests} == {"aliaport-currency-sync/3.1.0"}
    assert len({request.peer for request in tcmb.requests}) == 1
    times = [request.at for request in tcmb.requests]
    # Less than the interval: a busy server may record one request late and the next one in time.
    assert all(later - earlier >= 0.1 for earlier, later in pairwise(times))
    assert tcmb.max_at_once == 1


async def test_a_missing_file_differs_from_a_broken_server(tcmb: Tcmb) -> None:
    source = make_source(tcmb.address)
    with pytest.raises(NoFileError):
        await source.archived(DAY)
    with pytest.raises(UnavailableError, match=r"today\.xml does not exist"):
        await source.newest()
    # Even if the page that says so breaks off.
    tcmb.behave(archive_path(DAY), cut_off(document(DAY), 404))
    with pytest.raises(NoFileError):
        await source.archived(DAY)
    await source.close()


@pytest.mark.parametrize(
    ("handler", "fault"),
    [
        (error_page(500), Outage.HTTP_ERROR),
        (error_page(403), Outage.HTTP_ERROR),
        (cut_off(document(DAY), 503), Outage.HTTP_ERROR),
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
async def test_every_fault_of_the_source_has_a_name(
    tcmb: Tcmb, handler: Handler, fault: Outage | Fault
) -> None:
    tcmb.behave(archive_path(DAY), handler)
    source = make_source(tcmb.address, timeout=2.0)
    with pytest.raises((UnavailableError, RefusedError)) as raised:
        await source.archived(DAY)
    error: Any = raised.value
    found = error.outage if isinstance(error, UnavailableError) else error.fault
    assert found is fault, error
    # Then the source recovers.
    tcmb.behave(archive_path(DAY), None)
    tcmb.publish(DAY)
    assert (await source.archived(DAY)).day == DAY
    await source.close()


async def test_the_declared_encoding_overrides_the_header(tcmb: Tcmb) -> None:
    text = document(DAY).decode().replace('encoding="UTF-8"', 'encoding="ISO-8859-9"')
    tcmb.behave("today.xml", respond_with(text.encode("iso-8859-9"), content_type="text/xml"))
    source = make_source(tcmb.address)
    names = {rate.name for rate in (await source.newest()).rates}
    await source.close()
    assert "İNGİLİZ STERLİNİ" in names


async def test_compressed_responses_are_not_decompressed(tcmb: Tcmb) -> None:
    async def compressed(_request: web.Request) -> web.StreamResponse:
        response = web.Response(body=document(DAY), content_type="application/xml")
        response.enable_compression(web.ContentCoding.gzip)
        return response

    tcmb.behave("today.xml", compressed)
    source = make_source(tcmb.address)
    with pytest.raises(RefusedError, match="not well-formed XML"):
        await source.newest()
    await source.close()


async def test_a_redirect_is_followed_but_not_a_loop(tcmb: Tcmb) -> None:
    async def moved(_request: web.Request) -> web.StreamResponse:
        raise web.HTTPMovedPermanently("/kurlar/today.xml")

    tcmb.publish(DAY)
    tcmb.behave(archive_path(DAY), moved)
    source = make_source(tcmb.address)
    assert (await source.archived(DAY)).day == DAY
    tcmb.behave("today.xml", moved)
    with pytest.raises(UnavailableError):
        await source.newest()
    await source.close()


async def test_a_redirect_to_another_server_is_not_followed(tcmb: Tcmb) -> None:
    other = Tcmb()
    other.publish(DAY)

    async def moved(_request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(f"{other.address}/today.xml")

    tcmb.behave("today.xml", moved)
    source = make_source(tcmb.address)
    with pytest.raises(UnavailableError, match="redirects to another port") as raised:
        await source.newest()
    await source.close()
    other.stop()
    assert raised.value.outage is Outage.HTTP_ERROR
    assert other.requests == []


async def test_an_unreachable_address_is_reported(tcmb: Tcmb) -> None:
    for address in (f"http://127.0.0.1:{free_port()}/kurlar", "http://no-such-host.invalid/kurlar"):
        source = make_source(address)
        with pytest.raises(UnavailableError) as raised:
            await source.newest()
        assert raised.value.outage is Outage.UNREACHABLE
        await source.close()


async def test_a_certificate_of_an_unknown_authority_is_refused() -> None:
    requests: list[str] = []

    async def record(request: web.Request) -> web.Response:
        requests.append(request.path)
        return web.Response(body=document(DAY))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    app = web.Application()
    app.router.add_get("/kurlar/today.xml", record)
    server = TestServer(app, scheme="https", host="127.0.0.1")
    await server.start_server(ssl=context)
    source = make_source(str(server.make_url("/kurlar")))
    with pytest.raises(UnavailableError, match="certificate verify failed"):
        await source.newest()
    await source.close()
    await server.close()
    assert requests == []
