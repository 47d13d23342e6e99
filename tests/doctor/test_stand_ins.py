"""Checks against stand-ins for the service that are slow, odd or hostile, as the real one never is."""

import asyncio
import socket
import struct
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from aliaport.doctor import http
from aliaport.doctor.findings import Verdict
from aliaport.doctor.targets import Targets
from tests.doctor.conftest import StandIn
from tests.doctor.running import found, responding
from tests.support.service import free_port

TOKEN = "a-token-of-the-operators"
BUILD = 'aliaport_build_info{version="3.1.0"} 1\n'


def health(ahead: float = 0) -> dict[str, str]:
    at = datetime.now(UTC) + timedelta(seconds=ahead)
    return {
        "status": "healthy",
        "service": "aliaport-api",
        "version": "3.1.0",
        "timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def status(**more: Any) -> dict[str, Any]:
    probe = {"name": "good", "status": "healthy", "code": "ok", **more}
    data = {"status": "healthy", "environment": "production", "probes": [probe], "plugins": []}
    return {"success": True, "data": data}


async def test_a_hanging_server_meets_the_deadline(stand_in: StandIn) -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        return web.Response()

    url = await stand_in({"/health": hang})
    finding = await found("service.health", Targets(url, timeout=0.3))
    assert finding.verdict is Verdict.FAIL
    assert finding.seen == f"{url}/health: no complete response within 0.3 s"
    assert finding.todo


@pytest.mark.parametrize(
    ("reply", "scheme", "seen"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "http", "the response is not valid HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x0a", "http", "the response is not valid HTTP"),
        (b"HTTP/1.1 400 Bad\r\n\r\n", "https", "does not speak TLS; is it http://"),
    ],
)
async def test_another_protocol_on_the_port_is_named(reply: bytes, scheme: str, seen: str) -> None:
    async def respond(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(respond, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        finding = await found("service.health", Targets(f"{scheme}://127.0.0.1:{port}", timeout=30))
    assert (finding.verdict, seen in finding.seen) == (Verdict.FAIL, True), finding.seen


BROKEN_PAGE = b"HTTP/1.1 502 Bad Gateway\r\n"


@pytest.mark.parametrize(
    ("reply", "seen"),
    [
        (BROKEN_PAGE + b"Content-Length: 9\r\n\r\nhalf", "after 4 bytes; its status is 502"),
        (
            BROKEN_PAGE + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n9\r\nx",
            "the response ends before its length",
        ),
        (BROKEN_PAGE + b"Content-", http.NO_RESPONSE),
        (b"", http.NO_RESPONSE),
        (None, "Connection reset by peer before a complete response"),
    ],
)
async def test_a_response_that_breaks_off_is_named_with_the_address(
    reply: bytes | None, seen: str
) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if reply is None:
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            writer.write(reply)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(respond, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finding = await found("service.health", Targets(url, timeout=30))
    assert finding.verdict is Verdict.FAIL
    assert finding.seen.startswith(f"{url}/health: ")
    assert seen in finding.seen
    assert "Error" not in finding.seen
    assert finding.todo


async def test_a_slow_trickle_meets_the_deadline(stand_in: StandIn) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)

    finding = await found("service.health", Targets(await stand_in({"/health": drip}), timeout=0.4))
    assert "no complete response within 0.4 s" in finding.seen


async def test_an_endless_response_is_not_read(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_BYTES", 1000)
    url = await stand_in({"/metrics": lambda request: web.Response(text=BUILD * 100)})
    finding = await found("service.metrics", Targets(url))
    assert (finding.verdict, "larger than 1,000 bytes" in finding.seen) == (Verdict.FAIL, True)


async def test_a_redirect_is_not_followed_and_gets_no_token(stand_in: StandIn) -> None:
    tokens: list[str] = []

    async def other(request: web.Request) -> web.Response:
        tokens.append(request.headers.get("Authorization", ""))
        return web.json_response(status())

    elsewhere = await stand_in({"/status": other})
    moved = web.HTTPFound(f"{elsewhere}/status?ticket=geheim")

    async def move(request: web.Request) -> web.Response:
        raise moved

    url = await stand_in({"/status": move})
    finding = await found("service.status", Targets(url, status_token=TOKEN))
    assert finding.verdict is Verdict.FAIL
    assert f"redirects to {elsewhere}/status, which was not followed" in finding.seen
    assert tokens == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({**health(), "service": "nginx"}, "belongs to another service"),
        ({"status": "UP"}, "not as Aliaport does"),
        (["healthy"], "not as Aliaport does"),
    ],
)
async def test_another_service_s_health_fails(stand_in: StandIn, body: Any, said: str) -> None:
    finding = await found("service.health", Targets(await stand_in({"/health": body})))
    assert (finding.verdict, said in finding.seen) == (Verdict.FAIL, True), finding


async def test_invalid_json_and_unexpected_formats_fail_only_their_line(stand_in: StandIn) -> None:
    url = await stand_in({"/health": lambda _: web.Response(text="<html>\x1b[2J"), "/ready": {}})
    finding = await found("service.health", Targets(url))
    assert finding.seen == f"{url}/health did not respond with JSON: <html>?[2J"
    broken = await found("service.ready", Targets(url))
    assert broken.verdict is Verdict.FAIL
    assert "unexpected response format: KeyError" in broken.seen


class Latencies:
    """A stand-in's /health whose responses take these seconds by the clock that doctor reads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: list[float]) -> None:
        self._seconds = iter(seconds)
        self._now = 0.0
        watch = SimpleNamespace(time=time.time, perf_counter=lambda: self._now)
        monkeypatch.setattr(http, "time", watch)

    async def respond(self, request: web.Request) -> web.Response:
        self._now += next(self._seconds)
        return web.json_response(health())


async def test_the_baseline_is_measured(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    latencies = Latencies(monkeypatch, [0.06] * 20 + [0.04] * 20)
    targets = Targets(await stand_in({"/health": latencies.respond}))
    finding = await found("service.latency", targets)
    assert finding.verdict is Verdict.FAIL
    assert finding.seen == (
        "p95 of 20 requests 60.0 ms, median 60.0 ms, measured from here; the baseline is 50 ms"
    )
    assert (await found("service.latency", targets)).verdict is Verdict.PASS


async def test_one_outlier_in_twenty_passes(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    latencies = Latencies(monkeypatch, [0.4, *[0.0] * 19, 0.4, 0.4, *[0.0] * 18])
    targets = Targets(await stand_in({"/health": latencies.respond}))
    assert (await found("service.latency", targets)).verdict is Verdict.PASS
    assert (await found("service.latency", targets)).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("ahead", "verdict", "said"),
    [
        (0, Verdict.PASS, "within 2 s"),
        (1.5, Verdict.PASS, "within 2 s"),
        (10, Verdict.FAIL, "s ahead of this machine's clock"),
        (-10, Verdict.FAIL, "s behind this machine's clock"),
    ],
)
async def test_clocks_are_compared(
    stand_in: StandIn, ahead: float, verdict: Verdict, said: str
) -> None:
    url = await stand_in({"/health": lambda _: web.json_response(health(ahead))})
    finding = await found("service.clock", Targets(url))
    assert (finding.verdict, said in finding.seen) == (verdict, True), finding
    assert finding.runbook == ("ClockSkewed" if verdict is Verdict.FAIL else "")


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (BUILD, "text/plain; version=0.0.4; charset=utf-8", ""),
        (BUILD, "text/plain; charset=utf-8", "Content-Type is"),
        (BUILD, "application/json", "Content-Type is"),
        ("up 1\n", "text/plain; version=0.0.4", "aliaport_build_info is missing"),
        (f"{BUILD}a b c d\n", "text/plain; version=0.0.4", "not a sample"),
        (f'{BUILD}x{{a="b"}} nothing\n', "text/plain; version=0.0.4", "not a sample"),
    ],
)
async def test_the_metrics_page_is_parsed(
    stand_in: StandIn, text: str, kind: str, said: str
) -> None:
    def page(request: web.Request) -> web.Response:
        return web.Response(body=text.encode(), headers={"Content-Type": kind})

    finding = await found("service.metrics", Targets(await stand_in({"/metrics": page})))
    assert finding.verdict is (Verdict.FAIL if said else Verdict.PASS), finding
    assert said in finding.seen


@pytest.mark.parametrize(
    ("page", "verbose", "said"),
    [
        (status(), "[+]good ok\n", ""),
        (status(summary="5 of 9"), "[+]good ok\n", "good.summary"),
        (status(data={}), "[+]good ok\n", "good.data"),
        (status(), "[+]good ok (PostgreSQL 16)\n", "summaries in /ready?verbose"),
    ],
)
async def test_a_leak_of_details_is_found(
    stand_in: StandIn, page: Any, verbose: str, said: str
) -> None:
    tokens: list[str] = []

    def anonymous(request: web.Request) -> web.Response:
        tokens.append(request.headers.get("Authorization", ""))
        return web.json_response(page)

    routes = {"/status": anonymous, "/ready": lambda _: web.Response(text=verbose)}
    targets = Targets(await stand_in(routes), status_token=TOKEN)
    finding = await found("service.status_hidden", targets)
    assert finding.verdict is (Verdict.FAIL if said else Verdict.PASS), finding
    assert said in finding.seen
    assert tokens == [""], "the anonymous request has no token"


async def test_a_response_that_shows_the_token_is_not_printed(stand_in: StandIn) -> None:
    def echo(request: web.Request) -> web.Response:
        return web.Response(text=f"you sent {request.headers['Authorization']}")

    targets = Targets(await stand_in({"/status": echo}), status_token=TOKEN)
    finding = await found("service.status", targets)
    assert finding.verdict is Verdict.FAIL
    assert TOKEN not in str(finding)
    assert TOKEN not in repr(targets)


async def test_a_closed_second_listener_is_a_failure(stand_in: StandIn) -> None:
    url = await stand_in({"/health": health()})
    targets = Targets(url, internal_url=f"http://127.0.0.1:{free_port()}")
    assert "Connection refused" in (await found("service.metrics", targets)).seen
    assert (await found("service.metrics_private", targets)).verdict is Verdict.PASS


async def test_not_ready_names_the_probe(stand_in: StandIn) -> None:
    body = {
        "data": {"status": "not_ready", "database": "disconnected"},
        "error": {"code": "probe_failed", "message": "database: connection_refused"},
    }
    finding = await found(
        "service.ready", Targets(await stand_in({"/ready": responding(body, 503)}))
    )
    assert finding.seen == "503, probe_failed: database: connection_refused"
    assert finding.runbook == "AliaportNotReady"


async def test_a_spelling_that_a_proxy_overlooks_is_found(stand_in: StandIn) -> None:
    blocked = responding({}, 403)

    async def decode(request: web.Request) -> web.StreamResponse:
        # The stand-in's router decodes paths, as many servers do; this rule does not.
        is_blocked = request.rel_url.raw_path == "/metrics"
        response: web.StreamResponse = await (blocked if is_blocked else responding({}))(request)
        return response

    targets = Targets(
        await stand_in({"/metrics": decode, "/status": blocked}), internal_url="http://127.0.0.1:9"
    )
    finding = await found("service.metrics_private", targets)
    assert finding.verdict is Verdict.FAIL
    assert finding.seen.endswith("/%6detrics responds 200")


async def test_a_page_of_metrics_may_need_the_token(stand_in: StandIn) -> None:
    async def metrics(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        return web.Response(
            body=BUILD.encode(), headers={"Content-Type": "text/plain; version=0.0.4"}
        )

    url = await stand_in({"/metrics": metrics})
    assert (
        await found("service.metrics", Targets(url, status_token=TOKEN))
    ).verdict is Verdict.PASS
    anonymous = await found("service.metrics", Targets(url))
    assert anonymous.verdict is Verdict.NOT_CHECKED
    assert "--status-token-file" in anonymous.seen
