"""The targets of blackbox exporter are generated from the list and up to date."""

import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from uptime_list import read

DEPLOY = Path(__file__).parents[2] / "deploy"
MONITORS = read(DEPLOY / "uptime/monitors.toml")
SPECIFIED = {
    "Production Health": ("https://aliaport.com/health", 300),
    "Production API": ("https://aliaport.com/api/cari", 300),
    "Staging Health": ("https://staging.aliaport.com/health", 600),
}


@pytest.mark.service
def test_the_targets_are_generated(tmp_path: Path) -> None:
    shipped = (DEPLOY / "prometheus/targets/uptime.yml").read_text()
    # It writes next to itself, where other tests read.
    for folder in ("client", "uptime"):
        shutil.copytree(DEPLOY / folder, tmp_path / folder)
    written = tmp_path / "prometheus/targets/uptime.yml"
    written.parent.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-S", "-B", tmp_path / "uptime/generate"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert written.read_text() == shipped, "run deploy/uptime/generate and commit what it wrote"
    listed = [row["targets"] for row in yaml.safe_load(shipped)]
    assert listed == [[monitor.url] for monitor in MONITORS if monitor.inside]


def test_their_modules_exist_in_blackbox_exporter() -> None:
    modules = yaml.safe_load((DEPLOY / "prometheus/blackbox.yml").read_text())["modules"]
    assert {monitor.module for monitor in MONITORS if monitor.inside} <= modules.keys()


@pytest.mark.parametrize("name", SPECIFIED)
def test_the_monitors_of_the_specification(name: str) -> None:
    (found,) = [monitor for monitor in MONITORS if monitor.name == name]
    assert (found.url, found.interval) == SPECIFIED[name]


def test_text_messages_are_for_production_only() -> None:
    for monitor in MONITORS:
        assert ("SMS" in monitor.contacts) == (monitor.outside and "staging" not in monitor.url), (
            monitor.name
        )


def test_pages_checked_from_outside_are_public() -> None:
    for monitor in MONITORS:
        if monitor.outside:
            assert urlsplit(monitor.url).scheme == "https"
