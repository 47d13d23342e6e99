"""Fixtures that the tests of the embedded server share."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from aliaport.embedded import default_folder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return the folder of an embedded server, which is removed after the test."""
    folder = default_folder(tmp_path)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
