"""The files generated from elsewhere in deploy/ are complete and up to date."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubernetes.render import KUBERNETES, build, of_kind, one, pod_spec

pytestmark = pytest.mark.service

DEPLOY = KUBERNETES.parent
FILES = sorted((DEPLOY / "prometheus").glob("*.rules.yml"))


def generate(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(folder / "kubernetes/generate"), *arguments],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for name in ("prometheus", "elk", "kubernetes"):
        shutil.copytree(DEPLOY / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("overlay", ["staging", "production"])
def test_the_rules_match_prometheus(overlay: str) -> None:
    rules = of_kind(build(overlay), "PrometheusRule")
    given = {
        file.name.removesuffix(".rules.yml"): yaml.safe_load(file.read_text()) for file in FILES
    }
    assert len(given) >= 8
    found = {rule["metadata"]["name"].removeprefix("aliaport-"): rule["spec"] for rule in rules}
    assert found == given


def test_the_written_files_are_up_to_date() -> None:
    done = generate(DEPLOY, "--check")
    assert done.returncode == 0, f"run deploy/kubernetes/generate: {done.stderr}"


def test_writing_again_changes_nothing(copied: Path) -> None:
    written = ("kubernetes/base/prometheus-rules.yaml", "kubernetes/logging/filebeat.yml")
    before = [(copied / name).read_bytes() for name in written]
    assert generate(copied).returncode == 0
    assert [(copied / name).read_bytes() for name in written] == before


@pytest.mark.parametrize(
    ("file", "old", "new", "stale"),
    [
        ("prometheus/service.rules.yml", "for: 1m", "for: 2m", "base/prometheus-rules.yaml"),
        ("elk/filebeat.yml", "check_interval: 10s", "check_interval: 20s", "logging/filebeat.yml"),
    ],
)
def test_a_change_at_the_source_is_noticed(
    copied: Path, file: str, old: str, new: str, stale: str
) -> None:
    source = copied / file
    source.write_text(source.read_text().replace(old, new, 1))
    done = generate(copied, "--check")
    assert done.returncode == 1
    assert done.stderr == f"{stale} is out of date: run generate\n"
    assert generate(copied).returncode == 0
    assert new in (copied / "kubernetes" / stale).read_text()
    assert generate(copied, "--check").returncode == 0


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (
            "elk/filebeat.yml",
            "/app/logs/api.log*",
            "/srv/api.log*",
            "found 3 paths below /app/logs",
        ),
        ("prometheus/log.rules.yml", "groups:", "namespace: a\ngroups:", "`groups:` alone"),
    ],
)
def test_an_unexpected_source_is_refused(
    copied: Path, file: str, old: str, new: str, said: str
) -> None:
    source = copied / file
    source.write_text(source.read_text().replace(old, new, 1))
    done = generate(copied)
    assert done.returncode == 1
    assert said in done.stderr


def test_filebeats_configuration_differs_only_in_paths() -> None:
    config = one(build("logging"), "ConfigMap")["data"]["filebeat.yml"]
    own, given = yaml.safe_load(config), yaml.safe_load((DEPLOY / "elk/filebeat.yml").read_text())
    assert differences(given, own) == {
        f"filebeat.inputs/{number}/paths/0": (
            f"/app/logs/{name}.log*",
            f"/var/log/aliaport-pods/*/volumes/kubernetes.io~empty-dir/aliaport-logs/{name}.log*",
        )
        for number, name in enumerate(("app", "api", "error", "audit"))
    }


def differences(one: Any, two: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    if isinstance(one, dict) and isinstance(two, dict) and one.keys() == two.keys():
        pairs = [(str(key), one[key], two[key]) for key in one]
    elif isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        pairs = [(str(number), *pair) for number, pair in enumerate(zip(one, two, strict=True))]
    else:
        return {} if one == two else {path: (one, two)}
    found: dict[str, tuple[Any, Any]] = {}
    for key, left, right in pairs:
        found |= differences(left, right, f"{path}/{key}" if path else key)
    return found


def test_the_images_match_the_other_files() -> None:
    compose = yaml.safe_load((DEPLOY / "elk/docker-compose.elk.yml").read_text())
    (container,) = pod_spec(one(build("logging"), "DaemonSet"))["containers"]
    assert container["image"] == compose["services"]["filebeat"]["image"]
