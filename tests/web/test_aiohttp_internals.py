"""Another version of aiohttp is refused at the start: with some, requests would hang."""

import tomllib
from pathlib import Path

import pytest
from aiohttp.base_protocol import BaseProtocol

from aliaport.errors import StartupError
from aliaport.web.aiohttp_internals import REQUIREMENT, check_aiohttp

ROOT = Path(__file__).parents[2]


def test_the_installed_version_is_accepted() -> None:
    check_aiohttp()


def test_a_version_without_an_internal_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(BaseProtocol, "_buffer_paused")
    with pytest.raises(StartupError, match=f"_buffer_paused; install {REQUIREMENT}"):
        check_aiohttp()


def test_all_packages_require_the_version() -> None:
    found = 0
    for path in (ROOT / "pyproject.toml", *sorted((ROOT / "plugins").glob("*/pyproject.toml"))):
        required = tomllib.loads(path.read_text())["project"]["dependencies"]
        given = [one for one in required if one.startswith("aiohttp")]
        assert set(given) <= {REQUIREMENT}, path
        found += len(given)
    assert found == 3
