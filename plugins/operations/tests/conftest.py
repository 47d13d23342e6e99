"""One service for the tests of a module."""

from collections.abc import Iterator

import pytest

from tests.support.operations import Operations, serve
from tests.support.postgres import TcpPostgres


@pytest.fixture(scope="module")
def api(server: TcpPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operations]:
    with serve(server, tmp_path_factory.mktemp("operations") / "run") as operations:
        yield operations
