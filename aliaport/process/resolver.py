"""Resolves names on an event loop even if the process cannot start another thread."""

import asyncio
import functools
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aliaport.process.threads import worker


class ResolvingLoop(asyncio.SelectorEventLoop):
    """A loop that falls back to one thread of the process, which exists from the first loop on.

    asyncio starts threads for names when it needs them. If no more can be started, the shared
    thread resolves one name at a time.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        _spare()

    async def getaddrinfo(self, *arguments: Any, **options: Any) -> Any:
        """Resolve a host name, as `socket.getaddrinfo` does."""
        try:
            return await super().getaddrinfo(*arguments, **options)
        except RuntimeError:  # no thread could be started
            call = functools.partial(socket.getaddrinfo, *arguments, **options)
            return await self.run_in_executor(_spare(), call)


@functools.cache
def _spare() -> ThreadPoolExecutor:
    return worker("resolver")
