"""A current Compose reads the files, alone and together; run by `make compose-current`."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.compose.files import BASE, COMPOSE, DEPLOY, ELK, FILES, MONITORING, variables

COMBINATIONS = [
    *((BASE,), (MONITORING,), (ELK,)),
    *((BASE, MONITORING), (BASE, ELK), (BASE, MONITORING, ELK)),
]
each_combination = pytest.mark.parametrize("files", COMBINATIONS, ids="+".join)
VALUES = {
    "ELASTIC_PASSWORD": "elastic",
    "KIBANA_PASSWORD": "kibana",
    "KIBANA_ENCRYPTION_KEY": "0123456789abcdef0123456789abcdef",
}


EXAMPLE = (DEPLOY / ".env.production.example").read_text()


def filled(file: Path, **values: str) -> Path:
    """Return the example with required variables and `values` filled in: the last line counts."""
    lines = [f"{name}={value}" for name, value in {**VALUES, **values}.items()]
    file.write_text("\n".join([EXAMPLE, *lines, ""]))
    return file


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return filled(tmp_path / "env")


def compose(env_file: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    assert shutil.which("docker-compose"), "run it by `make compose-current`"
    return subprocess.run(
        ["docker-compose", *arguments],
        cwd=DEPLOY,
        env={"PATH": os.environ["PATH"], "HOME": "/", "COMPOSE_ENV_FILES": str(env_file)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def chosen(files: tuple[str, ...]) -> list[str]:
    """Return Compose's options: paths are relative to the first file, so ELK's alone needs a folder."""
    return ["--project-directory", ".", *words(files)] if files[0] == ELK else words(files)


def words(files: tuple[str, ...]) -> list[str]:
    return [word for file in files for word in ("-f", file)]


def resolved(env_file: Path, files: tuple[str, ...]) -> dict[str, Any]:
    done = compose(env_file, *chosen(files), "config", "--format", "json")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_compose_is_a_current_version(env_file: Path) -> None:
    version = compose(env_file, "version", "--short").stdout.strip()
    assert int(version.lstrip("v").partition(".")[0]) >= 2, version


@each_combination
def test_each_combination_is_valid_and_complete(env_file: Path, files: tuple[str, ...]) -> None:
    project = resolved(env_file, files)
    assert project["name"] == "aliaport"
    assert set(project["services"]) == {
        name for file in files for name in COMPOSE[file]["services"]
    }
    for name, service in project["services"].items():
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1", name
        for mount in service.get("volumes", []):
            if mount["type"] == "bind":
                assert Path(mount["source"]).exists(), f"{name}: {mount['source']}"
    for secret in project["secrets"].values():
        assert Path(secret["file"]).is_relative_to(DEPLOY)


def test_the_example_alone_chooses_the_files(env_file: Path) -> None:
    done = compose(env_file, "config", "--services")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    wanted = {name for file in (BASE, MONITORING) for name in COMPOSE[file]["services"]}
    assert set(done.stdout.split()) == wanted


@pytest.mark.parametrize("file", FILES)
def test_a_missing_required_variable_is_reported(env_file: Path, file: str) -> None:
    required = {
        name for name, operator, _ in variables((DEPLOY / file).read_text()) if operator == ":?"
    }
    assert required
    for name in required:
        filled(env_file, **{name: ""})
        done = compose(env_file, "-f", file, "config", "--quiet")
        assert done.returncode != 0, f"nobody misses {name}"
        assert name in done.stderr


def test_the_logs_of_service_and_filebeat_are_one_volume_or_one_folder(env_file: Path) -> None:
    for logs, kind in (("", "volume"), ("/srv/logs", "bind")):
        filled(env_file, ALIAPORT_LOGS=logs)
        services = resolved(env_file, (BASE, ELK))["services"]
        found = [
            (mount["type"], mount["source"])
            for name in ("backend", "filebeat")
            for mount in services[name]["volumes"]
            if mount["target"] == "/app/logs"
        ]
        assert found == [(kind, logs or "aliaport_logs")] * 2
