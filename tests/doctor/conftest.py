"""Stand-ins on loopback that stop with the test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from tests.doctor.running import address, started

StandIn = Callable[..., Awaitable[str]]


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    """Yield `await stand_in({path: handler or JSON})`, which starts a web server and returns its address."""
    servers: list[TestServer] = []

    async def stand_in(routes: dict[str, Any], **options: Any) -> str:
        server = await started(routes, **options)
        servers.append(server)
        return address(server)

    yield stand_in
    for server in servers:
        await server.close()
