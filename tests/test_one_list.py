"""The list of plugins and the version are each kept in one place."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest

import aliaport
from tests.support.plugins import BUNDLED, FOLDERS, ROOT

CONFIGURATION = [
    *("Makefile", "Dockerfile", ".dockerignore", "tox.ini", "pyproject.toml", "conftest.py"),
    *(".pre-commit-config.yaml", ".ci/run", "requirements/uv"),
]


@pytest.mark.parametrize("name", CONFIGURATION)
def test_configuration_names_no_plugin(name: str) -> None:
    text = (ROOT / name).read_text()
    named = [
        folder.name
        for folder in FOLDERS
        if re.search(rf"plugins/{folder.name}\b|aliaport[_-]{folder.name}\b", text)
        or f"aliaport_{folder.name.replace('-', '_')}" in text
    ]
    assert not named, f"{name} names {named}: take them from the workspace instead"


def test_tests_contain_no_list_of_plugins() -> None:
    tests = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("plugins/*/tests/**/*.py")]
    for path in tests:
        text = path.read_text()
        for line in text.splitlines():
            named = [name for name in BUNDLED if f'"{name}"' in line.replace("-", "_")]
            assert len(named) < len(BUNDLED), f"{path}: use tests.support.plugins.BUNDLED"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.name))
def test_a_plugin_has_the_version_of_the_package(folder: Path) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    source = folder / project["tool"]["hatch"]["version"]["path"]
    assert source.resolve() == Path(aliaport.__file__)
    assert importlib.metadata.version(project["project"]["name"]) == aliaport.__version__


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.name))
def test_a_plugin_requires_the_core_that_it_is_released_with(folder: Path) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    minor = aliaport.__version__.rpartition(".")[0]
    assert f"aliaport>={minor},<4" in project["dependencies"]


def test_the_changelog_has_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", changelog, re.MULTILINE)
    assert released[0] == aliaport.__version__
