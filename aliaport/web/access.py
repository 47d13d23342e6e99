"""Counts every request, malformed and cancelled ones too, where aiohttp tells of it: its log."""

from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from aliaport.http_metrics import UNMATCHED
from aliaport.web.core import Core
from aliaport.web.correlation import REQUEST_ID
from aliaport.web.operators import client_address

ENDPOINTS: dict[str, str] = {}
"""The label of each route's template, once seen."""


class AccessCounter(AbstractAccessLogger):
    """An access logger whose `logger` is the core."""

    def __init__(self, core: Any, log_format: str) -> None:
        super().__init__(core, log_format)
        self._core: Core = core

    @property
    def enabled(self) -> bool:
        """Always: it counts."""
        return True

    def log(self, request: Any, response: web.StreamResponse, time: float) -> None:
        """Count one request that has been answered or given up."""
        try:
            resource = request.match_info.route.resource
        except (AssertionError, AttributeError):  # malformed: it never reached the router
            resource = None
        endpoint = UNMATCHED if resource is None else _endpoint(resource.canonical)
        self._core.http.record(request.method, endpoint, response.status, time)
        if REQUEST_ID in request:
            self._log(request, endpoint, response.status, time)

    def _log(self, request: web.Request, endpoint: str, status: int, seconds: float) -> None:
        """Log one request of a mounted application; probes of the core's routes would be noise."""
        self._core.log.info(
            "request.answered",
            method=request.method,
            endpoint=endpoint,
            path=request.path[:200],
            status=status,
            duration_ms=round(seconds * 1000, 2),
            client=client_address(request, self._core.settings.trusted_proxies),
            **{"http.request.id": request[REQUEST_ID]},
        )


def _endpoint(canonical: str) -> str:
    endpoint = ENDPOINTS.get(canonical)
    if endpoint is None:
        endpoint = ENDPOINTS[canonical] = canonical.rstrip("/") or "/"
    return endpoint
