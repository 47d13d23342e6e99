"""The examples of the documentation pass a strict type checker, as their readers' code would."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_NAMED = re.compile(r"^`([\w./-]+\.py)`:\n\n```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_ANY = re.compile(r"^```python$", re.MULTILINE)
DOCUMENTS = sorted(
    file.relative_to(ROOT)
    for file in (ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/README.md"))
    if _ANY.search(file.read_text())
)

pytestmark = pytest.mark.computes


def versions(document: Path) -> list[dict[str, str]]:
    """Return the files that the document shows, by name; a later version replaces a file."""
    shown: list[dict[str, str]] = [{}]
    for name, text in _NAMED.findall((ROOT / document).read_text()):
        if name in shown[-1]:
            shown.append(dict(shown[-1]))
        shown[-1][name] = text
    return shown


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of mypy's cache, without which each document would take seconds more."""
    return tmp_path_factory.mktemp("cache")


def test_the_documents_with_examples_are_found() -> None:
    assert {"README.md", "docs/how-to/write-a-plugin.md"} <= set(map(str, DOCUMENTS))


@pytest.mark.service
@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_the_examples_are_strictly_typed(document: Path, tmp_path: Path, cache: Path) -> None:
    text = (ROOT / document).read_text()
    assert len(_NAMED.findall(text)) == len(_ANY.findall(text)), "each example has a file name"
    for number, files in enumerate(versions(document)):
        folder = tmp_path / str(number)
        for name, code in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(code)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "mypy", "--strict", "--explicit-package-bases"),
                *("--config-file=", f"--cache-dir={cache}", *files),
            ],
            cwd=folder,
            env={**os.environ, "MYPYPATH": f"{folder}:{folder / 'src'}:{ROOT}"},
            capture_output=True,
            text=True,
            timeout=110,
        )
        assert done.returncode == 0, done.stdout + done.stderr
