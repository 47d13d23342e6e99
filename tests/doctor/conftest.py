"""Stand-ins on loopback that end with the test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from tests.doctor.asking import address, started

StandIn = Callable[..., Awaitable[str]]


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    """`await stand_in({path: handler or JSON})`: the address of a web server that answers so."""
    servers: list[TestServer] = []

    async def stand_in(routes: dict[str, Any], **options: Any) -> str:
        server = await started(routes, **options)
        servers.append(server)
        return address(server)

    yield stand_in
    for server in servers:
        await server.close()
