"""`config check` and `plugins list` find what `serve` would meet, before it is started."""

import json
from pathlib import Path

import pytest

from tests.support import commands
from tests.support.commands import Done
from tests.support.distributions import install
from tests.support.service import ROGUES

LIVES = "aliaport_rogues.bad_lives"
ONLY_DISK = {"ALIAPORT_SELECTION__ALLOW": "disk"}
PRODUCTION = {**ONLY_DISK, "ENVIRONMENT": "production"}
TOKEN = {"ALIAPORT_STATUS_TOKEN": "a-token-of-enough-characters"}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Create a folder of installed distributions, without a bad one."""
    site = tmp_path / "site"
    install(site, "fine", {"good": "aliaport_rogues.good:Good"})
    return site


def aliaport(site: Path, *arguments: str, **environ: str) -> Done:
    return commands.aliaport(site.parent, *arguments, path=(site, ROGUES), environ=environ)


def check(site: Path, **environ: str) -> tuple[int, list[str], list[str]]:
    """Return the exit code, the problems and the findings of `config check`."""
    done = aliaport(site, "config", "check", "--json", **environ)
    found = json.loads(done.out)
    listed = aliaport(site, "plugins", "list", **environ)
    assert listed.code == done.code, "both commands agree"
    return done.code, found["problems"], found["findings"]


def check_one(site: Path, **environ: str) -> tuple[int, list[str], str]:
    """Return the same if there is exactly one finding."""
    code, problems, findings = check(site, **environ)
    assert len(findings) == 1, findings
    return code, problems, findings[0]


REJECTED = {
    "a constructor that fails": (f"{LIVES}:ConstructFails", "construct: RuntimeError: cannot be m"),
    "declarations that fail": (
        "aliaport_rogues.bad_metrics:TwinSeconds", "declare: metric 'aliaport_twin_seconds_count'",
    ),
    "an option that is not set": (
        f"{LIVES}:NeedsKey",
        "config: plugins.bad.key: is required; set ALIAPORT_PLUGINS__BAD__KEY, or key in",
    ),
    "another API": (f"{LIVES}:FutureApi", "api: bad 1.0 needs plugin API 9.0"),
    "an import that fails": ("aliaport_rogues.import_fails:X", "import: aliaport_rogues.import_f"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REJECTED)
def test_a_plugin_that_serve_would_reject_is_a_finding(site: Path, kind: str) -> None:
    value, reason = REJECTED[kind]
    install(site, "bad", {"bad": value})
    code, problems, finding = check_one(site)
    assert (code, problems) == (1, [])
    assert finding.startswith(f"plugin bad (bad 1.0) is rejected: {reason}")
    rows = json.loads(aliaport(site, "plugins", "list", "--json").out)
    (row,) = (row for row in rows if row["name"] == "bad")
    assert (row["state"], row["stage"]) == ("rejected", reason.partition(":")[0])
    assert row["hint"]


def test_an_application_without_its_option_is_a_finding(site: Path) -> None:
    install(site, "bad", apps={"bad": "aliaport_rogues.failing:needs_key"})
    code, problems, finding = check_one(site)
    assert (code, problems) == (1, [])
    assert finding.startswith("app bad (bad 1.0) is rejected: config: apps.bad.key: is required;")


def test_a_wrong_default_is_its_authors(site: Path) -> None:
    """The plugin alone is rejected, required or not, until a valid value replaces the default."""
    install(
        site,
        "bad",
        {"bad": f"{LIVES}:WrongDefault"},
        apps={"wrong": "aliaport_rogues.failing:wrong_default"},
    )
    code, problems, (plugin, app) = check(site, ALIAPORT_SELECTION__REQUIRED="bad")
    assert (code, problems) == (1, [])
    for finding, where, default in (
        (
            plugin,
            "plugin bad (bad 1.0) is rejected: config: plugins.bad.size",
            "bad_lives.WrongDefaul",
        ),
        (
            app,
            "app wrong (bad 1.0) is rejected: config: apps.wrong.size",
            "failing.WrongDefault.size",
        ),
    ):
        assert finding.startswith(where)
        assert f"this is the default of aliaport_rogues.{default}" in finding
        assert finding.endswith("until then, set the option to a valid value")
    once = aliaport(site, "plugins", "run", "bad")
    assert (once.code, "WrongDefaultConfig.size" in once.err) == (1, True)
    valid = {"ALIAPORT_PLUGINS__BAD__SIZE": "3", "ALIAPORT_APPS__WRONG__SIZE": "3"}
    assert check(site, **valid) == (0, [], [])


def test_an_option_that_is_not_set_is_a_problem_if_the_plugin_is_required(site: Path) -> None:
    install(site, "bad", {"bad": f"{LIVES}:NeedsKey"})
    code, problems, _ = check(site, ALIAPORT_SELECTION__REQUIRED="bad")
    assert code == 2
    (problem,) = problems
    assert "plugins.bad.key: is required; set ALIAPORT_PLUGINS__BAD__KEY" in problem
    listed = aliaport(site, "plugins", "list", "--json", ALIAPORT_SELECTION__REQUIRED="bad")
    rows = json.loads(listed.out)
    (row,) = (row for row in rows if row["name"] == "bad")
    assert (row["state"], row["stage"]) == ("misconfigured", "config")
    once = aliaport(site, "plugins", "run", "bad")
    assert once.code == 2
    assert "ALIAPORT_PLUGINS__BAD__KEY" in once.err


def test_a_wrong_option_beside_one_that_is_not_set_stops_the_start(site: Path) -> None:
    install(site, "bad", {"bad": f"{LIVES}:NeedsKey"})
    code, problems, _ = check(site, ALIAPORT_PLUGINS__BAD__SIZE="many")
    assert code == 2
    assert "ALIAPORT_PLUGINS__BAD__SIZE" in "".join(problems)


PROBLEMS = {
    "a misspelled probe": (
        "[probes.databases]\ncritical = false\n",
        {},
        "[probes.databases]: there is no probe 'databases'; did you mean 'database'?",
    ),
    "a misspelled plugin": ("[plugins.dsk]\na = 1\n", {}, "did you mean 'disk'?"),
    "an unknown name in allow": ("", {"ALIAPORT_SELECTION__ALLOW": "kafka"}, "no plugin 'kafka'"),
    "no database in production": (
        "",
        {"ALIAPORT_SELECTION__ALLOW": "db", "ENVIRONMENT": "production", **TOKEN},
        "DATABASE_URL is not set and a plugin needs a database",
    ),
    "a token file that is missing": (
        "",
        {**PRODUCTION, "ALIAPORT_STATUS_TOKEN_FILE": "/no/such/file"},
        "ALIAPORT_STATUS_TOKEN_FILE: /no/such/file",
    ),
}


@pytest.mark.parametrize("kind", PROBLEMS)
def test_what_stops_the_start_is_a_problem(site: Path, kind: str) -> None:
    toml, environ, expected = PROBLEMS[kind]
    file = site.parent / "a.toml"
    file.write_text(toml)
    code, problems, _ = check(site, ALIAPORT_CONFIG=str(file), **environ)
    assert code == 2
    assert expected in "\n".join(problems)


def test_a_run_without_a_database_is_refused_as_by_the_start(site: Path) -> None:
    environ = {"ALIAPORT_SELECTION__ALLOW": "db", "ENVIRONMENT": "production"}
    done = aliaport(site, "plugins", "run", "db", **environ)
    _, problems, _ = check(site, **environ)
    assert (done.code, done.err) == (2, f"aliaport: {problems[0]}\n")


def test_a_collector_that_fails_is_named_by_a_run(site: Path) -> None:
    install(site, "bad", {"failcollect": "aliaport_rogues.bad_metrics:FailCollect"})
    done = aliaport(site, "plugins", "run", "failcollect")
    assert done.code == 1
    assert "aliaport_failcollect_state 2" in done.out
    for name, reason in (
        ("nothing", "InvalidSamplesError: the collector returned NoneType; return a list of"),
        ("mapping", "InvalidSamplesError: the collector returned dict; return a list of"),
        ("one", "InvalidSamplesError: the collector returned Sample; return a list of"),
        ("generator", "LookupError: in the middle (at aliaport_rogues/bad_metrics.py:"),
    ):
        assert f"aliaport: failcollect: the collector {name} failed: {reason}" in done.err
    assert "finds" not in done.err
    found = json.loads(aliaport(site, "plugins", "run", "failcollect", "--json").out)
    assert len(found["problems"]) == 4


def test_a_start_that_fails_is_a_failure_of_a_run(site: Path) -> None:
    """Also of a plugin without any probe."""
    install(site, "bad", {"bad": f"{LIVES}:Clings"})
    done = aliaport(site, "plugins", "run", "bad")
    assert done.code == 1
    assert "aliaport: bad: it did not start: ConnectionRefusedError: not yet" in done.err


def test_a_run_of_anything_but_a_plugin_is_a_wrong_argument(site: Path) -> None:
    install(site, "bad", apps={"bad": "aliaport_rogues.failing:app"})
    for name, reason in (
        ("bad", "'bad' is an application, which only the service runs"),
        ("Good", "no plugin 'Good' is installed; did you mean 'good'?"),
    ):
        done = aliaport(site, "plugins", "run", name)
        assert (done.code, reason in done.err) == (2, True)


def test_a_run_does_not_need_the_plugin_to_be_selected(site: Path) -> None:
    for excluded in ({"ALIAPORT_SELECTION__DISABLE": "good"}, ONLY_DISK):
        done = aliaport(site, "plugins", "run", "good", **excluded)
        assert (done.code, "aliaport_good_runs 1" in done.out) == (0, True)


NOT_SET = {
    "not set": "",
    "in an empty table": "[plugins.bad]\n",
    "of a disabled plugin": '[selection]\ndisable = ["bad"]\n',
    "with a wrong value beside it": '[plugins.bad]\nsize = "many"\n',
    "with a secret that cannot be read": "",
}


@pytest.mark.parametrize("kind", NOT_SET)
def test_a_run_without_a_required_option_has_one_exit_code(site: Path, kind: str) -> None:
    secret = kind == "with a secret that cannot be read"
    install(site, "bad", {"bad": f"{LIVES}:{'NeedsSecret' if secret else 'NeedsKey'}"})
    file = site.parent / "a.toml"
    file.write_text(NOT_SET[kind])
    environ = {"ALIAPORT_PLUGINS__BAD__KEY_FILE": "/no/such/file"} if secret else {}
    done = aliaport(site, "plugins", "run", "bad", ALIAPORT_CONFIG=str(file), **environ)
    assert (done.code, "ALIAPORT_PLUGINS__BAD__KEY" in done.err) == (2, True)


FINDINGS: dict[str, tuple[dict[str, str], str]] = {
    "an unknown required plugin": (
        {"ALIAPORT_SELECTION__REQUIRED": "kafka"},
        "selection.required: no plugin 'kafka' is installed",
    ),
    "a required plugin that is not selected": (
        {**ONLY_DISK, "ALIAPORT_SELECTION__REQUIRED": "db"},
        "selection.required: the plugin 'db' is not among those of ALIAPORT_SELECTION__ALLOW; add",
    ),
    "a required plugin that is disabled": (
        {"ALIAPORT_SELECTION__DISABLE": "db", "ALIAPORT_SELECTION__REQUIRED": "db"},
        "the plugin 'db' is disabled by ALIAPORT_SELECTION__DISABLE; remove it there; /ready responds",
    ),
    "a required plugin that is disabled under an old name": (
        {"ALIAPORT_LOADING__DISABLE": "db", "ALIAPORT_SELECTION__REQUIRED": "db"},
        "the plugin 'db' is disabled by ALIAPORT_LOADING__DISABLE; remove it there",
    ),
    "no token in production": (PRODUCTION, "no status token is set"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FINDINGS)
def test_what_does_not_work_as_configured_is_a_finding(site: Path, kind: str) -> None:
    environ, expected = FINDINGS[kind]
    code, problems, findings = check(site, **environ)
    assert (code, problems) == (1, [])
    assert expected in "\n".join(findings)
    listed = aliaport(site, "plugins", "list", "--json", **environ)
    assert expected in listed.err
    assert json.loads(listed.out)


def test_a_file_that_disables_a_required_plugin_is_named(site: Path) -> None:
    file = site.parent / "a.toml"
    file.write_text('[selection]\ndisable = ["operations"]\nrequired = ["operations"]\n')
    code, problems, finding = check_one(site, ALIAPORT_CONFIG=str(file))
    assert (code, problems) == (1, [])
    where = f"the plugin 'operations' is disabled by {file}: selection.disable; remove it there"
    assert finding.startswith(f"selection.required: {where}")


def test_a_complete_configuration_is_valid(site: Path) -> None:
    assert check(site) == (0, [], [])
    assert check(site, **PRODUCTION, **TOKEN) == (0, [], [])
    file = site.parent / "tokens"
    file.write_text("a-token-of-enough-characters\n")
    assert check(site, **PRODUCTION, ALIAPORT_STATUS_TOKEN_FILE=str(file)) == (0, [], [])
    toml = site.parent / "a.toml"
    toml.write_text("[probes.log]\ntimeout = 2\n[probes.good]\ncritical = false\n")
    assert check(site, ALIAPORT_CONFIG=str(toml)) == (0, [], [])
