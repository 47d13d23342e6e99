"""Traces requests, except those that machines send all the time."""

from collections.abc import Awaitable
from typing import Any

from aiohttp import web
from sentry_sdk.integrations.aiohttp import AioHttpIntegration

UNTRACED = frozenset({"/health", "/ready", "/metrics"})
"""Paths, with or without a final slash, whose traces would bury the others."""


class RequestTracing(AioHttpIntegration):
    """The SDK's integration, which works only for requests that may be traced.

    For the others, its work would take longer than the response.
    """

    @staticmethod
    def setup_once() -> None:
        """Let the SDK replace `Application._handle`, and choose between the two."""
        plain = web.Application._handle  # noqa: SLF001
        AioHttpIntegration.setup_once()
        traced = web.Application._handle  # noqa: SLF001

        def handle(app: web.Application, request: web.Request) -> Awaitable[Any]:
            chosen = plain if request.path.removesuffix("/") in UNTRACED else traced
            return chosen(app, request)

        web.Application._handle = handle  # type: ignore[method-assign,assignment]  # noqa: SLF001
