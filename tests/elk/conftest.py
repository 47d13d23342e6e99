"""Fixtures for the tests of `setup`."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.elk.setup_runs import ELK
from tests.elk.stand_in import PASSWORD, StandIn


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn() as server:
        yield server


@pytest.fixture
def elk(tmp_path: Path) -> Path:
    """Return a copy of deploy/elk that a test may change."""
    return Path(
        shutil.copytree(ELK, tmp_path / "elk", ignore=shutil.ignore_patterns("__pycache__"))
    )


@pytest.fixture
def password(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    return file
