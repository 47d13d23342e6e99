"""The service behind the proxies of the documentation, with its configurations."""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aliaport.doctor.findings import Verdict
from aliaport.doctor.metrics_page import SPELLINGS
from aliaport.doctor.targets import Targets
from tests.doctor.running import found
from tests.support import balancers
from tests.support.plugins import ROOT
from tests.support.service import Service, running
from tests.support.waiting import wait_until

pytestmark = pytest.mark.service

PAGE = ROOT / "docs/how-to/publish-behind-a-proxy.md"
PROXIES = [
    pytest.param("nginx", marks=pytest.mark.needs("nginx")),
    pytest.param("HAProxy", marks=pytest.mark.needs("haproxy")),
]
CALLER = "127.0.0.2"
"""The client's address; the proxies have 127.0.0.1."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run a service that trusts the proxies."""
    with running(
        tmp_path_factory.mktemp("published"),
        {"good": "aliaport_rogues.good:Good"},
        {"places": "aliaport_rogues.mounted:places"},
        config='trusted_proxies = ["127.0.0.1/32"]\n',
    ) as service:
        yield service


@contextmanager
def published(name: str, folder: Path, service: Service) -> Iterator[int]:
    """Run the proxy of this section of the page; yield its port."""
    proxy = balancers.start(name, folder / name, [service.port], PAGE)
    try:
        wait_until(
            lambda: get(proxy.port, "/here/address")[0] == 200, f"{name} serves: {proxy.output()}"
        )
        yield proxy.port
    finally:
        proxy.stop()


def get(port: int, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, 60, (CALLER, 0))
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("name", PROXIES)
async def test_the_rules_keep_every_spelling_private(
    name: str, service: Service, tmp_path: Path
) -> None:
    with published(name, tmp_path, service) as port:
        assert get(port, "/health")[0] == get(port, "/ready")[0] == 200
        further = ("/metrics", "/metrics?x", "/status", "/status?verbose", "/status/log")
        absolute = [f"http://aliaport{path}" for path in (*further, *SPELLINGS)]
        for path in (*further, *SPELLINGS, *absolute):
            status, body = get(port, path)
            assert (status, "aliaport_build_info" in body) in ((404, False), (400, False)), path
        own = f"http://127.0.0.1:{service.port}"
        targets = Targets(f"http://127.0.0.1:{port}", internal_url=own)
        finding = await found("service.metrics_private", targets)
        assert finding.verdict is Verdict.PASS, finding


@pytest.mark.parametrize("name", PROXIES)
def test_the_address_of_the_caller_cannot_be_forged(
    name: str, service: Service, tmp_path: Path
) -> None:
    with published(name, tmp_path, service) as port:
        for headers in ({}, {"X-Forwarded-For": "192.0.2.7"}, {"X-Forwarded-For": "127.0.0.1"}):
            status, body = get(port, "/here/address", headers)
            assert (status, f'"data":"{CALLER}"' in body) == (200, True), body
    _, direct = get(service.port, "/here/address", {"X-Forwarded-For": "192.0.2.7"})
    assert f'"data":"{CALLER}"' in direct, "whoever is not a trusted proxy is the caller"
