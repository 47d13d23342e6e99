"""README and the tutorials: a reader pastes their commands and examples, and gets what they show."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from aliaport import __version__
from aliaport.settings import describe
from tests.support.plugins import FOLDERS, ROOT
from tests.support.tcmb import Tcmb
from tests.support.walkthrough import Block, Walkthrough, agree, blocks, make_checkout

README = ROOT / "README.md"
TUTORIALS = ROOT / "docs" / "tutorials"
EXAMPLE_DATABASE = (
    "'postgresql://user:password@db.example.org/aliaport?sslmode=verify-full"
    "&sslrootcert=/etc/ssl/certs/ca-certificates.crt'"
)
PATIENT_INBOX = "ALIAPORT_PROBES__INBOX_FILES__TIMEOUT"
"""Lets a slow machine count the files, in fewer seconds than the tutorial sleeps."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def walkthrough(tmp_path: Path, tcmb: Tcmb) -> Iterator[Walkthrough]:
    walkthrough = Walkthrough(
        make_checkout(tmp_path / "aliaport"),
        {
            # Results must depend neither on how busy the machine is nor on the internet.
            "ALIAPORT_READY_TIMEOUT": "30",
            "ALIAPORT_STATUS_TIMEOUT": "30",
            "ALIAPORT_PROBES__DATABASE__TIMEOUT": "30",
            "ALIAPORT_PROBES__DISK_ROOT__TIMEOUT": "30",
            "ALIAPORT_PLUGINS__DB__CONNECT_TIMEOUT": "10",
            "ALIAPORT_PLUGINS__DB__QUERY_TIMEOUT": "10",
            "ALIAPORT_PLUGINS__CURRENCY_SYNC__SOURCE": tcmb.address,
        },
    )
    yield walkthrough
    walkthrough.close()


@pytest.mark.needs("curl")
@pytest.mark.parametrize("name", ["first-day", "first-plugin"])
def test_a_tutorial_works_as_pasted(walkthrough: Walkthrough, name: str) -> None:
    walkthrough.run(f"export {PATIENT_INBOX}=3")
    uninstall = "pip uninstall "
    replace = {uninstall: f"unset {PATIENT_INBOX}; {uninstall}"}
    walkthrough.walk(TUTORIALS / f"{name}.md", replace=replace)


def in_docker(block: Block) -> bool:
    return "docker " in block.text


def from_wheels(block: Block) -> bool:
    return "make packages" in block.text


@pytest.mark.needs("curl")
def test_the_readme_works_as_pasted(walkthrough: Walkthrough) -> None:
    walkthrough.run(f"export {PATIENT_INBOX}=3")
    walkthrough.walk(
        README,
        take=lambda block: not in_docker(block) and not from_wheels(block),
        replace={"make test": ""},  # it runs this test
    )


@pytest.mark.needs("curl")
def test_the_wheels_of_the_readme_serve(walkthrough: Walkthrough, database: str) -> None:
    """The packages that a reader's pip downloads are borrowed."""
    borrowed = walkthrough.borrowed
    walkthrough.run("export PIP_NO_DEPS=1")
    walkthrough.walk(
        README,
        take=from_wheels,
        replace={EXAMPLE_DATABASE: f"{database} PYTHONPATH={borrowed}"},
    )
    code, output = walkthrough.run("curl -sS -w '%{http_code}' localhost:8000/ready?verbose")
    assert (code, output[-3:]) == (0, "200"), output


def test_the_containers_of_the_readme_fit_the_image() -> None:
    """Docker is not run here: `make containers` runs the image."""
    (block,) = filter(in_docker, blocks(README))
    build, run = block.text.splitlines()
    tag = build.removeprefix("docker build -t ").removesuffix(" .")
    assert run.startswith("docker run ")
    assert run.endswith(f" {tag}")
    exposed = re.findall(r"^EXPOSE (\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert re.findall(r"-p [\d.]+:\d+:(\d+) ", run) == exposed
    assert set(re.findall(r"-e (\w+)", run)) <= {row.variable for row in describe()}


def test_the_readme_counts_alerts_and_dashboards() -> None:
    text = README.read_text()
    runbooks = {page.stem for page in (ROOT / "deploy/runbooks").glob("*.md")} - {"README"}
    dashboards = list((ROOT / "deploy/grafana/dashboards").glob("*.json"))
    assert f"{len(runbooks)} alerts with a runbook each" in text
    assert len(dashboards) == 7
    assert "seven dashboards" in text


def test_the_list_of_tests_is_complete() -> None:
    text = (ROOT / "tests/README.md").read_text()
    tests = ROOT / "tests"
    names = {path.relative_to(tests).parts[0] for path in tests.glob("*/**/*.py")}
    names |= {path.name for path in tests.glob("test_*.py")}
    names |= {f"{folder.relative_to(ROOT)}/tests" for folder in FOLDERS}
    assert not sorted(name for name in names if f"`{name}`" not in text)


def test_contributing_names_files_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for path in re.findall(r"`([\w.-]+/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path


def test_security_supports_this_minor_version() -> None:
    minor = __version__.rpartition(".")[0]
    assert f"| the latest minor version ({minor}) |" in (ROOT / "SECURITY.md").read_text()


@pytest.mark.parametrize(
    ("shown", "actual", "expected"),
    [
        (
            '{"code":"ok","at":"2026-11-30T03:08:11Z"}',
            '{"code":"ok","at":"2027-01-01T00:00:00Z"}',
            1,
        ),
        ("PostgreSQL 16.14, primary, 0.54 ms", "PostgreSQL 17.2, primary, 12 ms", 1),
        ("[error    ] plugin.rejected …", "[error    ] plugin.rejected   reason=x", 1),
        ("503", "200", 0),
        ("2 files wait", "3 files wait", 0),
        ("[+]database ok", "[+]database ok\n[-]disk_root failed", 0),
    ],
)
def test_outputs_agree_but_for_times_and_versions(shown: str, actual: str, expected: int) -> None:
    assert agree(shown, actual) == bool(expected)


def test_only_files_are_written() -> None:
    pages = [README, *TUTORIALS.glob("*.md")]
    names = {block.name for page in pages for block in blocks(page)}
    assert names == {"", "pyproject.toml", "aliaport_inbox.py", "test_inbox.py"}
