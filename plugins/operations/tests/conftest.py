"""Fixtures of the tests of the operations plugin."""

from collections.abc import Iterator

import pytest

from tests.support.operations import PATIENT, Operations, serve
from tests.support.postgres import TcpPostgres


@pytest.fixture(scope="module")
def api(server: TcpPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operations]:
    folder = tmp_path_factory.mktemp("operations") / "run"
    with serve(server, folder, **PATIENT) as operations:
        yield operations
