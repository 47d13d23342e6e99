"""The command line as people and scripts use it."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.distributions import install
from tests.support.service import ROGUES, free_port

pytestmark = pytest.mark.service

ROGUE = {
    "broken": "aliaport_rogues.import_fails:X",
    "good": "aliaport_rogues.good:Good",
    "bad": "aliaport_rogues.bad_probes:Raising",
}


def aliaport(folder: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    site = folder / "site"
    if not site.exists():
        install(site, "aliaport-rogues", ROGUE)
    return subprocess.run(
        [sys.executable, "-m", "aliaport", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{site}:{ROGUES}", **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_plugins_list_shows_everything_installed_and_why_not(tmp_path: Path) -> None:
    done = aliaport(tmp_path, "plugins", "list", "--json", ALIAPORT_LOADING__DISABLE="disk")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["good"]["state"] == "loadable"
    assert rows["disk"]["state"] == "disabled"
    assert (rows["broken"]["state"], rows["broken"]["stage"]) == ("rejected", "import")
    assert "this package is broken" in rows["broken"]["reason"]
    assert rows["db"]["distribution"] == "aliaport-db"
    table = aliaport(tmp_path, "plugins", "list").stdout
    assert "this package is broken" in table


def test_a_plugin_and_an_app_of_one_distribution_are_one_row(tmp_path: Path) -> None:
    name = "aliaport_rogues.good:Good"
    install(tmp_path / "site", "both", {"both": name}, {"both": "aliaport_rogues.mounted:app"})
    broken = {"half": "aliaport_rogues.mounted:nothing"}
    install(tmp_path / "site", "half", {"half": name}, broken)
    install(tmp_path / "site", "first", {"shared": name})
    install(tmp_path / "site", "second", apps={"shared": "aliaport_rogues.mounted:app"})
    rows = json.loads(aliaport(tmp_path, "plugins", "list", "--json").stdout)
    shown = [(r["name"], r["kind"], r["state"], r["stage"]) for r in rows]
    assert ("both", "plugin + app", "loadable", "") in shown
    assert ("half", "plugin + app", "rejected", "import") in shown
    assert ("shared", "plugin", "loadable", "") in shown
    assert ("shared", "app", "loadable", "") in shown
    assert len({row[:2] for row in shown}) == len(shown)


def test_plugins_run_prints_what_the_server_would(tmp_path: Path) -> None:
    done = aliaport(tmp_path, "plugins", "run", "good", "--json")
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert [item["name"] for item in outcome["probes"]] == ["good", "counting"]
    assert "aliaport_good_runs 1" in outcome["metrics"]
    one = aliaport(tmp_path, "plugins", "run", "good:good")
    assert json.loads(one.stdout)["data"] == {"answer": 42}
    bad = aliaport(tmp_path, "plugins", "run", "bad")
    assert (bad.returncode, json.loads(bad.stdout)["code"]) == (1, "error")
    assert "geheim" not in bad.stdout + bad.stderr


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("broken", 1, "this package is broken"),
        ("good:nothing", 1, "has no probe 'nothing'"),
        ("goood", 2, "did you mean 'good'?"),
    ],
)
def test_plugins_run_says_what_is_wrong(tmp_path: Path, name: str, code: int, message: str) -> None:
    done = aliaport(tmp_path, "plugins", "run", name)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_config_show_masks_and_config_check_finds_all(tmp_path: Path) -> None:
    url = "postgresql://user:geheim@db:5432/port"
    shown = aliaport(tmp_path, "config", "show", "--json", DATABASE_URL=url)
    values = json.loads(shown.stdout)
    assert values["database_url"] == "postgresql://user:***@db:5432/port"
    assert values["plugins"]["disk"]["mounts"] == ["/"]
    table = aliaport(tmp_path, "config", "show", DATABASE_URL=url).stdout
    assert "ALIAPORT_READY_BUDGET" in table
    assert "geheim" not in table
    assert aliaport(tmp_path, "config", "check").returncode == 0
    (tmp_path / "a.toml").write_text(
        "[plugins.disk]\nmount = 1\n[plugins.cpu]\nwarn_percent = 200\n"
    )
    checked = aliaport(tmp_path, "config", "check", "--config", "a.toml", "--json")
    assert checked.returncode == 2
    problems = "\n".join(json.loads(checked.stdout)["problems"])
    assert "did you mean 'mounts'?" in problems
    assert "plugins.cpu.warn_percent" in problems


def test_on_a_terminal_the_log_is_readable(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "aliaport", "serve"],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "TERM": "xterm",
            "ALIAPORT_PORT": str(free_port()),
            "ALIAPORT_LOADING__ALLOW": "disk",
        },
        stdout=terminal,
        stderr=terminal,
        stdin=terminal,
    )
    os.close(terminal)
    text = ""
    try:
        while "service.started" not in text:
            text += os.read(controller, 4096).decode()
    finally:
        process.terminate()
        process.wait(20)
        os.close(controller)
    assert "\x1b[" in text, "it has colours"
    assert '{"@timestamp"' not in text
    assert '"message":"service.started"' in (tmp_path / "logs" / "app.log").read_text()
