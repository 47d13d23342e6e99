"""Checks against the real service: healthy, unhealthy, stopped, in production and in development."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from aliaport.doctor.command import doctor as command
from aliaport.doctor.findings import Verdict
from aliaport.doctor.targets import Targets
from tests.doctor.running import FAIL, NOT_CHECKED, PASS, Outcome, doctor, found
from tests.support.fixtures import Launch
from tests.support.service import Service, free_port

pytestmark = pytest.mark.service

TOKEN = "a-token-of-the-operators"
DSN = "https://a1b2c3d4e5f6@sentry.example.org/42"
GOOD = {"good": "aliaport_rogues.good:Good"}


def production(folder: Path, **more: str) -> dict[str, str]:
    token = folder / "status_token"
    token.write_text(f"{TOKEN}\n")
    return {
        "ENVIRONMENT": "production",
        "ALIAPORT_HOST": "127.0.0.1",
        "ALIAPORT_STATUS_TOKEN_FILE": str(token),
        "ALIAPORT_INTERNAL_PORT": str(free_port()),
        "ALIAPORT_DRAIN_SECONDS": "0",
        **more,
    }


def beside(service: Service, *arguments: object, **environ: str) -> Outcome:
    """Run doctor as on the service's machine, with the service's environment."""
    own = {k: v for k, v in service.environ.items() if k.startswith(("ALIAPORT_", "ENV", "SENTRY"))}
    return doctor(service.folder, *arguments, "--json", **{**own, **environ})


def test_a_well_configured_service_passes_every_check(launch: Launch, tmp_path: Path) -> None:
    url = "postgresql://aliaport:Kal3m@db.example.org/aliaport"
    environ = production(tmp_path, SENTRY_DSN=DSN, ALIAPORT_DATABASE_URL=url)
    service = launch(GOOD, environ=environ)
    (event,) = service.wait_events("database.unverified")
    assert "db.example.org is not verified (sslmode=prefer)" in event["problem"]
    warning = beside(service).lines["configuration.database"]
    assert (warning["result"], warning["seen"]) == ("warning", event["problem"])
    assert "sslmode=verify-full" in warning["todo"]
    outcome = beside(service, ALIAPORT_DATABASE_URL=f"{url}?sslmode=verify-full")
    own = {**outcome.results("service."), **outcome.results("configuration.")}
    others = {k: v for k, v in outcome.results().items() if k not in own}
    # The speed of the test machine is not tested here: see test_stand_ins.py.
    fast = own.pop("service.latency") == PASS
    assert set(own.values()) == {PASS}, outcome.not_passed()
    assert len(own) == 12
    assert set(others.values()) == {NOT_CHECKED}, "anything that is not named is never passed"
    assert outcome.code == (0 if fast else 1)
    assert outcome.json["url"] == f"http://127.0.0.1:{service.port}"
    assert outcome.lines["service.ready"]["seen"] == "200, good up"
    assert "project 42 at sentry.example.org" in outcome.lines["configuration.sentry"]["seen"]
    assert "404" in outcome.lines["service.metrics_private"]["seen"]
    for secret in (TOKEN, "a1b2c3d4e5f6", "Kal3m"):
        assert secret not in outcome.output + outcome.errors + str(warning)


async def test_an_unhealthy_service_names_its_probes_and_plugins(
    launch: Launch, tmp_path: Path
) -> None:
    plugins = {
        **GOOD,
        "bad": "aliaport_rogues.bad_probes:Raising",
        "broken": "aliaport_rogues.import_fails:X",
    }
    environ = production(tmp_path, ALIAPORT_PROBES__ROGUE_RAISING__CRITICAL="true")
    service = launch(plugins, environ=environ)
    outcome = beside(service)
    assert outcome.code == 1
    ready = outcome.lines["service.ready"]
    assert (ready["result"], ready["runbook"]) == (FAIL, "deploy/runbooks/AliaportNotReady.md")
    assert "503, probe_failed: rogue_raising: error" in ready["seen"]
    status = outcome.lines["service.status"]
    assert status["result"] == FAIL
    assert "probe rogue_raising is unhealthy: error (" in status["seen"], "with the token: why"
    assert "plugin broken is rejected at import (" in status["seen"]
    assert "this package is broken" in status["seen"]
    assert outcome.lines["configuration.sentry"]["result"] == FAIL
    assert outcome.results("service.health") == {"service.health": PASS}

    url = f"http://127.0.0.1:{service.port}"
    internal = f"http://127.0.0.1:{service.internal_port}"
    named = {"DOCTOR_URL": url, "DOCTOR_INTERNAL_URL": internal}
    anonymous = doctor(tmp_path, "--json", **named)
    seen = anonymous.lines["service.status"]["seen"]
    assert "probe rogue_raising is unhealthy: error;" in seen
    assert "this package is broken" not in anonymous.output
    assert "--status-token-file" in anonymous.lines["service.status"]["todo"]
    assert anonymous.lines["service.status_token"]["result"] == NOT_CHECKED
    assert set(anonymous.results("configuration.").values()) == {NOT_CHECKED}

    wrong = Targets(url, internal_url=internal, status_token="another-token-than-that-one")
    refused = await found("service.status_token", wrong)
    assert refused.verdict is Verdict.FAIL
    assert "another-token" not in str(refused)


async def test_the_environment_must_be_production(launch: Launch, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    service = launch(GOOD)
    outcome = doctor(
        tmp_path,
        "--json",
        "--url",
        f"http://127.0.0.1:{service.port}",
        "--status-token-file",
        token,
    )
    hidden = outcome.lines["service.status_hidden"]
    assert (outcome.code, hidden["result"]) == (1, FAIL)
    assert "the environment is development" in hidden["seen"]
    assert outcome.lines["service.status_token"]["result"] == NOT_CHECKED
    private = outcome.lines["service.metrics_private"]
    assert (private["result"], "ALIAPORT_INTERNAL_PORT" in private["todo"]) == (NOT_CHECKED, True)
    public = Targets(
        f"http://127.0.0.1:{service.port}", internal_url=f"http://localhost:{service.port}"
    )
    open_to_all = await found("service.metrics_private", public)
    assert open_to_all.verdict is Verdict.FAIL
    assert "/metrics responds 200, /status responds 200" in open_to_all.seen


def test_a_dead_service_fails_and_names_the_runbook(tmp_path: Path) -> None:
    port = free_port()
    outcome = doctor(tmp_path, "--json", ALIAPORT_PORT=str(port))
    assert outcome.code == 1
    for name in ("health", "ready", "latency", "clock", "status", "metrics"):
        line = outcome.lines[f"service.{name}"]
        assert line["result"] == FAIL
        assert "Connection refused" in line["seen"]
        assert line["todo"]
    runbook = outcome.lines["service.health"]["runbook"]
    assert runbook == "deploy/runbooks/AliaportDown.md"
    log = outcome.lines["configuration.log"]
    assert log["result"] == FAIL


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--url", "ftp://a"], "is not an http or https URL"),
        (["--url", "http://user:geheim@a"], "contains a user name or password"),
        (["--url", "http://a/?token=geheim"], "has a query or fragment after the path"),
        (["--url", "http://a:99999"], "is not a valid URL"),
        (["--url", "127.0.0.1:8000"], "use the form http://host:port"),
        (["--url", "[::1]:8000"], "use the form http://host:port"),
        (["--url", "user:geheim@a:8000"], "use the form http://host:port"),
        (["--url", "http://[::1"], "is not a valid URL"),
        (["--url", "http://a b"], "contains a space or an invisible character"),
        (["--url", "http://a/\u200b"], "contains a space or an invisible character"),
        (["--url", f"http://{'a' * 64}"], "is not a valid URL"),
        (["--url", "http://a", "--internal-url", " http://a/ "], "is the same as --url"),
        (["--url", "http://a", "--internal-url", "http://a"], "is the same as --url"),
        (["--url", "http://a", "--config", "a.toml"], "omit --config and --env-file"),
        (["--test-alert"], "needs --alertmanager"),
        (["--status-token-file", "/nothing"], "/nothing: No such file"),
        (["--status-token-file", "a-geheim-token"], "it may be the secret itself): No such file"),
        (["--grafana-token-file", "empty"], "contains no token"),
        (["--uptimerobot-token-file", "odd"], "cannot be sent in a token"),
        (["--ca-file", "empty"], "--ca-file"),
        (["--timeout", "0"], "--timeout"),
        (["--job", 'a"}'], "is not a valid job name"),
        (["--strange"], "No such option"),
    ],
)
def test_wrong_usage_exits_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").write_text("\n")
    Path("odd").write_text("Şifre-geheim\n")
    outcome = CliRunner().invoke(command, arguments)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert said in outcome.stderr
    assert "geheim" not in outcome.stderr


def test_a_wrong_configuration_exits_with_2(tmp_path: Path) -> None:
    outcome = doctor(tmp_path, SENTRY_DSN="https://geheim@sentry.example.org/project-id")
    assert (outcome.code, outcome.output) == (2, "")
    assert "SENTRY_DSN" in outcome.errors
    assert "geheim" not in outcome.errors
