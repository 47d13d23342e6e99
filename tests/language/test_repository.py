"""Everything in the repository is in plain English."""

from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.language.rules import KEPT, UNCHECKED
from tests.language.search import ANY, check, files, words

ROOT = Path(__file__).parents[2]


def _parts() -> dict[str, list[Path]]:
    """Return the files to check by folder, two levels deep."""
    parts: dict[str, list[Path]] = {}
    for path in files(ROOT):
        file = path.relative_to(ROOT)
        if not any(fnmatch(file.as_posix(), pattern) for pattern in UNCHECKED):
            parts.setdefault("/".join(file.parts[:-1][:2]) or ".", []).append(path)
    return dict(sorted(parts.items()))


PARTS = _parts()


@pytest.mark.parametrize("part", PARTS)
def test_everything_is_in_plain_english(part: str) -> None:
    findings = [
        str(finding)
        for path in PARTS[part]
        for finding in check(path.relative_to(ROOT).as_posix(), path.read_text(errors="replace"))
    ]
    if findings:
        pytest.fail(
            f"{len(findings)} phrases to replace in {part}:\n" + "\n".join(findings), pytrace=False
        )


def test_the_repository_is_found() -> None:
    assert {"README.md", "Makefile", ".ci/run", "deploy/uptime/sync"} <= {
        path.relative_to(ROOT).as_posix() for paths in PARTS.values() for path in paths
    }


def test_each_exception_is_needed() -> None:
    for phrase in KEPT:
        assert ANY.search(phrase) or ANY.search(words(phrase)), phrase
