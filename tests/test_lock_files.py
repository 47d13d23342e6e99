"""The lock files of npm: exact versions with hashes, and no download address."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("folder", ["tests/elk/types", "tests/grafana/types"])
def test_the_lock_file_names_no_download_host(folder: str) -> None:
    lock = json.loads((ROOT / folder / "package-lock.json").read_text())
    wanted = json.loads((ROOT / folder / "package.json").read_text())["dependencies"]
    assert lock["packages"][""]["dependencies"] == wanted
    assert all(version[0].isdigit() for version in wanted.values()), "exact versions only"
    for path, package in lock["packages"].items():
        assert "resolved" not in package, f"{path}: npm install wrote an address"
        assert not path or "integrity" in package
