"""What a mounted application imports: the declaration that its entry point names.

An application is trusted: it runs on the HTTP loop, and blocking there blocks /health.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aliaport.errors import DeclarationError
from aliaport.plugin import API_VERSION, Context, PluginConfig

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["API_VERSION", "App", "Context", "PluginConfig"]

PREFIX = re.compile(r"(/[a-z0-9][a-z0-9_-]*)+")
TAKEN = ("/health", "/ready", "/status", "/metrics")


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """Declares an aiohttp application for the group `aliaport.apps`.

    `create(context, options)` returns a fresh `web.Application`; it is called again after a failed
    start. Resources belong into its `cleanup_ctx`: 10 s to start, 3 s to stop. `prefix` is the path
    under which it answers, `config` the model of its options `[apps.<name>]`.
    """

    prefix: str
    create: "Callable[[Context, Any], web.Application]"
    config: type[PluginConfig] = PluginConfig
    api: tuple[int, int] = API_VERSION

    def __post_init__(self) -> None:
        """Raise DeclarationError where the declaration breaks a rule of the contract."""
        if PREFIX.fullmatch(self.prefix) is None:
            raise DeclarationError(f"prefix {self.prefix!r}: write it like /operations, no final /")
        if any(self.prefix == path or self.prefix.startswith(f"{path}/") for path in TAKEN):
            raise DeclarationError(f"prefix {self.prefix!r} belongs to the service; choose another")
