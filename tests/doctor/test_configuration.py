"""Checks of this machine's configuration: Sentry, retention, log level."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from aliaport.doctor import command, configuration
from aliaport.doctor.configuration import newest_line
from aliaport.doctor.findings import Finding, Verdict
from aliaport.doctor.running import Line
from aliaport.doctor.targets import Targets, own_address, own_internal_address
from aliaport.settings import LogSettings, Settings
from tests.doctor.conftest import StandIn
from tests.doctor.running import doctor, found


async def _find(check: str, **options: Any) -> Finding:
    return await found(
        f"configuration.{check}", Targets("http://127.0.0.1:1", settings=Settings(**options))
    )


async def test_a_missing_dsn_fails_and_a_dsn_is_never_shown() -> None:
    missing = await _find("sentry")
    assert (missing.verdict, "SENTRY_DSN is not set" in missing.seen) == (Verdict.FAIL, True)
    found = await _find("sentry", sentry_dsn=SecretStr("https://geheim@o1.sentry.test/7"))
    assert found.verdict is Verdict.PASS
    assert found.seen == "set: project 7 at o1.sentry.test (Sentry itself was not contacted)"


@pytest.mark.parametrize(
    ("days", "audit", "verdict"),
    [
        (30, 90, Verdict.PASS),
        (60, 365, Verdict.PASS),
        (29, 90, Verdict.FAIL),
        (30, 89, Verdict.FAIL),
    ],
)
async def test_retention_is_long_enough(days: int, audit: int, verdict: Verdict) -> None:
    log = LogSettings(keep_days=days, keep_audit_days=audit)
    finding = await _find("retention", log=log)
    assert finding.verdict is verdict
    assert f"{days} days, audit {audit} days" in finding.seen


async def test_a_quiet_log_level_is_not_checked(tmp_path: Path) -> None:
    log = LogSettings(folder=tmp_path, level="error")
    line = {"@timestamp": (datetime.now(UTC) - timedelta(seconds=90)).isoformat()}
    (tmp_path / "error.log").write_text(f"{json.dumps(line)}\n{{half a li")
    finding = await _find("log", log=log)
    assert finding.verdict is Verdict.NOT_CHECKED
    age = re.search(r"newest line: (\d+) s old", finding.seen)
    assert age, finding.seen
    assert int(age[1]) >= 90
    assert newest_line(Settings(log=LogSettings(folder=tmp_path / "none"))) == "none"


async def test_a_service_that_writes_its_log_elsewhere_is_noticed(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configuration, "WAIT", 0.3)
    settings = Settings(log=LogSettings(folder=tmp_path))
    finding = await found("configuration.log", Targets(await stand_in({}), settings=settings))
    assert finding.verdict is Verdict.FAIL
    assert finding.seen.endswith("api.log after 0.3 s; newest line: none")
    assert finding.runbook == "LogWriteFailing"


async def test_an_unconfigured_service_is_checked_with_its_defaults(stand_in: StandIn) -> None:
    url = await stand_in({"/status": {"data": {"environment": "development"}}})
    targets = Targets(url, settings=Settings(), configured=False)
    sentry, retention = [
        await found(f"configuration.{i}", targets) for i in ("sentry", "retention")
    ]
    assert (sentry.verdict, retention.verdict) == (Verdict.FAIL, Verdict.PASS)
    for finding in (sentry, retention):
        assert finding.seen.endswith("; doctor found no configuration and assumes the defaults")


@pytest.mark.parametrize("check", ["sentry", "retention", "log"])
async def test_defaults_are_not_checked_if_the_service_is_configured(
    stand_in: StandIn, check: str
) -> None:
    url = await stand_in({"/status": {"data": {"environment": "production"}}})
    targets = Targets(url, settings=Settings(), configured=False)
    finding = await found(f"configuration.{check}", targets)
    assert finding.verdict is Verdict.NOT_CHECKED
    assert "the service has one: it is in production" in finding.seen


@pytest.mark.parametrize(
    ("arguments", "environ", "has_settings", "configured"),
    [
        ([], {}, True, False),
        ([], {"ALIAPORT_PORT": "8000"}, True, True),
        (["--url", "http://a"], {}, False, False),
    ],
)
def test_doctor_uses_the_configuration_or_the_defaults_of_this_machine(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    environ: dict[str, str],
    has_settings: bool,
    configured: bool,
) -> None:
    seen: list[Targets] = []

    async def examine(targets: Targets) -> list[Line]:
        seen.append(targets)
        return []

    monkeypatch.setattr(command, "examine", examine)
    assert doctor(tmp_path, "--json", *arguments, **environ).code == 0
    (targets,) = seen
    assert (targets.settings is not None, targets.configured) == (has_settings, configured)
    assert targets.url == (arguments[-1] if arguments else "http://127.0.0.1:8000")


async def test_a_folder_that_cannot_be_read_fails(tmp_path: Path) -> None:
    (tmp_path / "app.log").mkdir()
    finding = await _find("log", log=LogSettings(folder=tmp_path, level="error"))
    assert (finding.verdict, "Is a directory" in finding.seen) == (Verdict.FAIL, True)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://127.0.0.1:8000"),
        ("10.1.2.3", "http://10.1.2.3:8000"),
        ("::1", "http://[::1]:8000"),
        ("backend", "http://backend:8000"),
    ],
)
def test_the_address_comes_from_the_configuration(host: str, address: str) -> None:
    settings = Settings(host=host, internal_port=8001)
    assert own_address(settings) == address
    assert own_internal_address(settings) == address.replace("8000", "8001")
    assert own_internal_address(Settings(host=host)) == ""
