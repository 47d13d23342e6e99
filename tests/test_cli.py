"""The command line as people and scripts use it."""

import json
from pathlib import Path

import pytest

from tests.support import commands
from tests.support.commands import Done
from tests.support.distributions import install
from tests.support.service import ROGUES

pytestmark = pytest.mark.service

ROGUE = {
    "broken": "aliaport_rogues.import_fails:X",
    "good": "aliaport_rogues.good:Good",
    "bad": "aliaport_rogues.bad_probes:Raising",
    "future": "aliaport_rogues.bad_lives:FutureApi",
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Create a folder of installed distributions, with four rogues."""
    site = tmp_path / "site"
    install(site, "aliaport-rogues", ROGUE)
    return site


def aliaport(site: Path, *arguments: str, **environ: str) -> Done:
    return commands.aliaport(site.parent, *arguments, path=(site, ROGUES), environ=environ)


def process(site: Path, *arguments: str, **environ: str) -> Done:
    """Run `aliaport` in a separate process, as people do."""
    return commands.aliaport_process(site.parent, *arguments, path=(site, ROGUES), environ=environ)


def test_plugins_list_shows_everything_installed_and_why_it_is_not_loaded(site: Path) -> None:
    done = process(site, "plugins", "list", "--json", ALIAPORT_SELECTION__DISABLE="disk")
    assert (done.code, done.err) == (1, ""), "plugins are rejected"
    rows = {row["name"]: row for row in json.loads(done.out)}
    assert rows["good"]["state"] == "loadable"
    assert rows["disk"]["state"] == "disabled"
    assert (rows["broken"]["state"], rows["broken"]["stage"]) == ("rejected", "import")
    assert "this package is broken" in rows["broken"]["reason"]
    assert rows["db"]["distribution"] == "aliaport-db"
    table = aliaport(site, "plugins", "list").out
    assert "this package is broken" in table


def test_a_table_shows_brackets_and_colons_as_they_are(site: Path) -> None:
    name = "Bad:a:Name"
    install(site, "misnamed", {name: "aliaport_rogues.good:Good"})
    listed = json.loads(aliaport(site, "plugins", "list", "--json").out)
    (row,) = (row for row in listed if row["distribution"] == "misnamed")
    assert "[a-z][a-z0-9_]" in row["reason"] + row["hint"]
    table = aliaport(site, "plugins", "list").out
    assert name in table
    assert "[a-z][a-z0-9_]" in table


def test_a_plugin_and_an_app_of_one_distribution_are_one_row(site: Path) -> None:
    name = "aliaport_rogues.bad_lives:StopHangs"
    install(site, "both", {"both": name}, {"both": "aliaport_rogues.mounted:app"})
    broken = {"half": "aliaport_rogues.mounted:nothing"}
    install(site, "half", {"half": name}, broken)
    install(site, "first", {"shared": name})
    install(site, "second", apps={"shared": "aliaport_rogues.mounted:hanging"})
    rows = json.loads(aliaport(site, "plugins", "list", "--json").out)
    shown = [(r["name"], r["kind"], r["state"], r["stage"]) for r in rows]
    assert ("both", "plugin + app", "loadable", "") in shown
    assert ("half", "plugin + app", "rejected", "import") in shown
    assert ("shared", "plugin", "loadable", "") in shown
    assert ("shared", "app", "loadable", "") in shown
    assert len({row[:2] for row in shown}) == len(shown)


def test_plugins_run_prints_what_the_service_would_report(site: Path) -> None:
    slow = {"ALIAPORT_PROBES__GOOD__TIMEOUT": "30", "ALIAPORT_PROBES__COUNTING__TIMEOUT": "30"}
    done = process(site, "plugins", "run", "good", "--json", **slow)
    assert done.code == 0, done.err
    outcome = json.loads(done.out)
    assert [item["name"] for item in outcome["probes"]] == ["good", "counting"]
    assert "aliaport_good_runs 1" in outcome["metrics"]
    one = aliaport(site, "plugins", "run", "good:good", **slow)
    assert json.loads(one.out)["data"] == {"number": 42}
    bad = process(site, "plugins", "run", "bad", ALIAPORT_PROBES__ROGUE_RAISING__TIMEOUT="30")
    assert (bad.code, json.loads(bad.out)["code"]) == (1, "error")
    assert "geheim" not in bad.out + bad.err


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("broken", 1, "this package is broken"),
        ("future", 1, "this host has 1.0; upgrade aliaport"),
        ("good:nothing", 1, "has no probe 'nothing'"),
        ("goood", 2, "did you mean 'good'?"),
    ],
)
def test_plugins_run_explains_failures(site: Path, name: str, code: int, message: str) -> None:
    done = aliaport(site, "plugins", "run", name)
    assert done.code == code
    assert message in done.err


def test_an_error_is_an_exit_code_and_a_message_without_traceback(site: Path) -> None:
    done = process(site, "plugins", "run", "goood")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("aliaport: ")
    assert "Traceback" not in done.err


def test_config_show_masks_secrets(site: Path) -> None:
    url = "postgresql://user:geheim@db:5432/port"
    shown = process(site, "config", "show", "--json", DATABASE_URL=url)
    assert (shown.code, shown.err) == (0, "")
    values = json.loads(shown.out)
    assert values["database_url"] == "postgresql://user:***@db:5432/port"
    assert values["plugins"]["disk"]["mounts"] == ["/"]
    table = aliaport(site, "config", "show", DATABASE_URL=url).out
    assert "ALIAPORT_READY_TIMEOUT" in table
    assert "geheim" not in table


def test_config_check_finds_all_problems(site: Path) -> None:
    valid = aliaport(site, "config", "check", ALIAPORT_SELECTION__DISABLE="broken,future")
    assert (valid.code, valid.out) == (0, "the configuration is valid\n")
    (site.parent / "a.toml").write_text(
        "[plugins.disk]\nmount = 1\n[plugins.cpu]\nwarn_percent = 200\n"
    )
    checked = process(site, "config", "check", "--config", "a.toml", "--json")
    assert checked.code == 2
    problems = "\n".join(json.loads(checked.out)["problems"])
    assert "did you mean 'mounts'?" in problems
    assert "plugins.cpu.warn_percent" in problems


def test_config_check_prints_problems_as_text(site: Path) -> None:
    rejected = {"ALIAPORT_SELECTION__DISABLE": "broken,future"}
    done = aliaport(
        site, "config", "check", ALIAPORT_PROT="1", ALIAPORT_PLUGINS__DSK__A="1", **rejected
    )
    assert done.code == 2
    warning, problem = done.out.splitlines()
    assert warning.startswith("warning: ALIAPORT_PROT: nothing reads this variable; did you mean")
    assert problem.startswith("problem: ALIAPORT_PLUGINS__DSK__A: ")
    renamed = aliaport(site, "config", "check", ALIAPORT_READY_BUDGET="1", **rejected)
    assert (renamed.code, renamed.out) == (
        0,
        "warning: ALIAPORT_READY_BUDGET is deprecated and will be removed in 3.3; "
        "use ALIAPORT_READY_TIMEOUT\nthe configuration is valid\n",
    )
