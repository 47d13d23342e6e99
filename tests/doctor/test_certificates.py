"""Certificates that are good, expire soon, have expired, are untrusted or of another host."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from aliaport.doctor.findings import Verdict
from aliaport.doctor.targets import Targets
from tests.doctor.conftest import StandIn
from tests.doctor.running import found
from tests.doctor.test_stand_ins import health


def tls(authority: trustme.CA, days: float, name: str = "127.0.0.1") -> ssl.SSLContext:
    now = datetime.now(UTC)
    begin = now - timedelta(days=400)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(
        name, not_before=begin, not_after=now + timedelta(days=days)
    ).configure_cert(context)
    return context


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    return authority


@pytest.mark.parametrize(
    ("days", "name", "said"),
    [
        (14.5, "127.0.0.1", ""),
        (13.5, "127.0.0.1", "days left; at least 14 are required"),
        (-1, "127.0.0.1", "certificate has expired"),
        (90, "elsewhere.test", "IP address mismatch"),
    ],
)
async def test_validity_is_judged_by_the_days_left(
    stand_in: StandIn, authority: trustme.CA, tmp_path: Path, days: float, name: str, said: str
) -> None:
    url = await stand_in({"/health": health()}, ssl=tls(authority, days, name))
    assert url.startswith("https://")
    targets = Targets(url, ca_file=tmp_path / "authority.pem")
    finding = await found("certificates", targets)
    assert finding.verdict is (Verdict.FAIL if said else Verdict.PASS), finding
    assert said in finding.seen
    if days < 0:
        refused = await found("service.health", targets)
        assert "certificate refused: certificate has expired" in refused.seen


async def test_an_unknown_authority_is_refused(stand_in: StandIn, authority: trustme.CA) -> None:
    url = await stand_in({"/health": health()}, ssl=tls(authority, 90))
    for check in ("certificates", "service.health"):
        finding = await found(check, Targets(url))
        assert finding.verdict is Verdict.FAIL
        assert "unable to get local issuer certificate" in finding.seen


async def test_every_https_address_is_checked(
    stand_in: StandIn, authority: trustme.CA, tmp_path: Path
) -> None:
    good = await stand_in({}, ssl=tls(authority, 90))
    short = await stand_in({}, ssl=tls(authority, 5))
    targets = Targets("http://127.0.0.1:1", sites=(good, short), ca_file=tmp_path / "authority.pem")
    finding = await found("certificates", targets)
    assert finding.verdict is Verdict.FAIL
    assert "90 days left" in finding.seen
    assert "5 days left" in finding.seen
    none = await found("certificates", Targets("http://127.0.0.1:1"))
    assert none.verdict is Verdict.NOT_CHECKED


async def test_a_port_without_tls_and_a_closed_port_fail(stand_in: StandIn) -> None:
    plain = (await stand_in({})).replace("http://", "https://")
    finding = await found("certificates", Targets("http://a", sites=(plain,), timeout=2))
    assert (finding.verdict, "does not speak TLS" in finding.seen) == (Verdict.FAIL, True), finding
    closed = await found("certificates", Targets("http://a", sites=("https://127.0.0.1:1",)))
    assert (closed.verdict, "Connection refused" in closed.seen) == (Verdict.FAIL, True)
