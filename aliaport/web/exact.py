"""Routes that respond to one spelling of their path, so that a proxy's rule covers them.

aiohttp decodes a path before it compares, so `/%6detrics` would pass a rule for `/metrics`.
"""

from collections.abc import Coroutine
from typing import Any

from aiohttp import web
from aiohttp.web_urldispatcher import DynamicResource, PlainResource, Resource, UrlMappingMatchInfo

Resolved = tuple[UrlMappingMatchInfo | None, set[str]]


class _ExactResource(Resource):
    def resolve(self, request: web.Request) -> Coroutine[Any, Any, Resolved]:
        """Resolve the request, unless its path is percent-encoded."""
        encoded = "%" in request.raw_path and "%" in request.rel_url.raw_path
        return _nothing() if encoded else super().resolve(request)


class ExactPath(_ExactResource, PlainResource):
    """A path without parameters."""


class ExactPattern(_ExactResource, DynamicResource):
    """A path with parameters."""


async def _nothing() -> Resolved:
    return None, set()
