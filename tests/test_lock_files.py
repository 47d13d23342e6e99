"""The lock files: exact versions with hashes, and no download address."""

import json
import re
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


@pytest.mark.parametrize(
    "file", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda f: f.name
)
def test_every_python_package_has_one_version_and_its_hashes(file: Path) -> None:
    text = re.sub(r"^\s*#.*\n", "", file.read_text(), flags=re.MULTILINE)
    requirements = text.replace("\\\n", " ").splitlines()
    assert requirements
    for requirement in requirements:
        assert re.fullmatch(
            r"[\w.-]+==[\w.]+( ; [^#]+?)?( +--hash=sha256:[0-9a-f]{64})+", requirement
        ), requirement[:80]
