"""The module that mounted applications import, tested as authors test: without the service."""

from ipaddress import ip_address, ip_network

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDict

from aliaport import apps
from aliaport.apps import TRUSTED_PROXIES, App, Refusal, data_response
from aliaport.forwarded import MAX_HOPS, client_address
from aliaport.settings import Settings
from aliaport.testing import make_context
from tests.typing.aliaport_shelves.application import SiteConfig, app, create


async def test_applications_respond_in_the_shape_of_the_service() -> None:
    site = create(make_context("shelves"), SiteConfig(greeting="merhaba"))
    site[TRUSTED_PROXIES] = (ip_network("127.0.0.0/8"),)
    async with TestClient(TestServer(site, host="127.0.0.1")) as client:
        response = await client.get("/greet/ayşe", headers={"X-Forwarded-For": "192.0.2.7"})
        assert response.status == 200
        assert response.content_type == "application/json"
        assert response.headers["Cache-Control"] == "no-cache"
        assert await response.json() == {
            "success": True,
            "data": {"text": "merhaba, ayşe", "from": "192.0.2.7"},
        }


def test_a_refusal_holds_the_whole_response() -> None:
    refusal = Refusal(409, "taken", "somebody was faster", headers={"Retry-After": "7"}, version=3)
    assert str(refusal) == refusal.message == "somebody was faster"
    assert (refusal.status, refusal.code) == (409, "taken")
    assert (refusal.headers, refusal.details) == ({"Retry-After": "7"}, {"version": 3})
    assert Refusal(404, "gone", "it is gone").headers == {}


def test_the_root_of_an_application() -> None:
    assert app.roots == ("/shelves",)
    assert app.root_of("/shelves") == app.root_of("/shelves/greet/x") == "/shelves"
    assert app.root_of("/shelves2") == ""
    several = App(create=lambda context, options: web.Application(), paths=("/auth", "/api/cari"))
    assert [several.root_of(path) for path in ("/auth/x", "/api/cari", "/api")] == [
        *("/auth", "/api/cari", "")
    ]


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "caller"),
    [
        ("10.0.0.1", "192.0.2.7", [], "10.0.0.1"),
        ("10.0.0.1", "192.0.2.7", ["10.0.0.0/8"], "192.0.2.7"),
        ("10.0.0.1", "198.51.100.9, 192.0.2.7, 10.0.0.2", ["10.0.0.0/8"], "192.0.2.7"),
        ("10.0.0.1", "10.0.0.3,,10.0.0.2", ["10.0.0.0/8"], "10.0.0.3"),
        ("192.0.2.1", "198.51.100.9", ["10.0.0.0/8"], "192.0.2.1"),
        ("10.0.0.1", "192.0.2.7:4711", ["10.0.0.0/8"], "192.0.2.7"),
        ("10.0.0.1", "[2001:db8::7]:4711", ["10.0.0.0/8"], "2001:db8::7"),
        ("10.0.0.1", "2001:db8::7", ["10.0.0.0/8"], "2001:db8::7"),
        # Squid's `forwarded_for off`, RFC 7239's obfuscated names, and nonsense are not addresses.
        ("10.0.0.1", "unknown, 10.0.0.2", ["10.0.0.0/8"], "10.0.0.2"),
        ("10.0.0.1", "192.0.2.7, unknown", ["10.0.0.0/8"], "10.0.0.1"),
        ("10.0.0.1", "192.0.2.7, _hidden, 10.0.0.2", ["10.0.0.0/8"], "10.0.0.2"),
        ("10.0.0.1", "x" * 1_000_000, ["10.0.0.0/8"], "10.0.0.1"),
        ("10.0.0.1", " " * 1_000_000 + "192.0.2.7", ["10.0.0.0/8"], "10.0.0.1"),
        # IPv4 mapped into IPv6 is IPv4: the peer, a hop, a trusted network.
        ("::ffff:10.0.0.1", "192.0.2.7", ["10.0.0.0/8"], "192.0.2.7"),
        ("::ffff:10.0.0.1", "192.0.2.7", [], "10.0.0.1"),
        ("10.0.0.1", "192.0.2.7, ::ffff:a00:2", ["10.0.0.0/8"], "192.0.2.7"),
        ("10.0.0.1", "[::FFFF:192.0.2.7]:4711", ["10.0.0.0/8"], "192.0.2.7"),
        ("::ffff:10.0.0.1", "192.0.2.7", ["::ffff:10.0.0.0/104"], "192.0.2.7"),
        ("10.0.0.1", "2001:DB8:0::7", ["10.0.0.0/8"], "2001:db8::7"),
        ("/run/socket", "192.0.2.7", ["10.0.0.0/8"], "/run/socket"),
        ("10.0.0.1", "", ["10.0.0.0/8"], "10.0.0.1"),
        (None, "192.0.2.7", ["10.0.0.0/8"], ""),
    ],
)
def test_the_address_of_the_caller(
    peer: str | None, forwarded: str, trusted: list[str], caller: str
) -> None:
    networks = Settings.model_validate({"trusted_proxies": trusted}).trusted_proxies
    assert client_address(peer, {"X-Forwarded-For": forwarded}, networks) == caller


@pytest.mark.parametrize("lines", [1, 50])
def test_only_the_last_hops_are_parsed(lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = Settings.model_validate({"trusted_proxies": ["10.0.0.0/8"]}).trusted_proxies
    parsed: list[str] = []

    def count(text: str) -> object:
        parsed.append(text)
        return ip_address(text)

    monkeypatch.setattr("aliaport.addresses.ip_address", count)
    headers: CIMultiDict[str] = CIMultiDict()
    for line in range(lines):
        headers.add("X-Forwarded-For", ",".join([f"10.0.{line}.1"] * (60_000 // lines)))
    assert client_address("10.0.0.1", headers, networks) == f"10.0.{lines - 1}.1"
    assert len(parsed) == MAX_HOPS + 1


def test_the_old_name_of_the_data_helper_still_works() -> None:
    with pytest.warns(DeprecationWarning, match="aliaport.apps.data_response"):
        assert vars(apps)["__getattr__"]("data_answer") is data_response
