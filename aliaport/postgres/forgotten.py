"""Terminates the pools and connections that a plugin or an application has not closed."""

import asyncio
import threading
from typing import Protocol
from weakref import WeakKeyDictionary

from aliaport.plugin import Context


class Resource(Protocol):
    """A pool or a connection."""

    def terminate(self) -> None:
        """Close it at once; do nothing if it is closed."""
        ...


_Owner = tuple[Context, asyncio.AbstractEventLoop]
_opened: "WeakKeyDictionary[Resource, _Owner]" = WeakKeyDictionary()
_lock = threading.Lock()  # each plugin opens in its own thread


def remember(resource: Resource, context: Context) -> None:
    """Remember for whom the resource was opened; call it on the resource's loop."""
    with _lock:
        _opened[resource] = context, asyncio.get_running_loop()


def terminate_forgotten(context: Context) -> None:
    """Terminate what is still open of all that this context has opened on the running loop."""
    running = asyncio.get_running_loop()
    with _lock:
        found = [
            resource
            for resource, (opener, loop) in _opened.items()
            if opener is context and loop is running
        ]
        for resource in found:
            del _opened[resource]
    for resource in found:
        resource.terminate()
