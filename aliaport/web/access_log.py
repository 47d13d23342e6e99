"""Counts and logs every request, even malformed or cancelled, through aiohttp's access-log hook."""

from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from aliaport.forwarded import client_address
from aliaport.metrics.http import UNMATCHED
from aliaport.redaction import shorten
from aliaport.web.mounts import AppNotRunning, endpoint_label
from aliaport.web.request_identity import IDENTITY
from aliaport.web.state import AppState

QUIET = frozenset(("/", "/health", "/ready", "/status", "/status/{probe}", "/metrics"))
"""Endpoints that balancers and Prometheus poll: their requests are logged only if they
failed, were slow, or had another status than the one before."""


class AccessCounter(AbstractAccessLogger):
    """An access logger whose `logger` is the AppState."""

    def __init__(self, state: Any, log_format: str) -> None:
        super().__init__(state, log_format)
        self._state: AppState = state
        self._last: tuple[web.AbstractRoute | None, str] = (None, "")

    @property
    def enabled(self) -> bool:
        """True, since every request is counted."""
        return True

    def log(self, request: Any, response: web.StreamResponse, time: float) -> None:
        """Count one request, completed or cancelled, and log it if it is noteworthy."""
        try:
            match = request.match_info
            route = match.route
        except (AssertionError, AttributeError):  # malformed: it never reached the router
            match = route = None
        known, endpoint = self._last
        if route is None or route is not known:
            endpoint = self._find_endpoint(match, route)
        status = response.status
        before = self._state.http.record(request.method, endpoint, status, time)
        log = self._state.settings.log
        if (
            endpoint not in QUIET
            or status >= 400
            or status != before
            or time * 1000 >= log.slow_request_ms
            or log.probe_requests
        ):
            self._log(request, endpoint, response, time)

    def _find_endpoint(self, match: Any, route: web.AbstractRoute | None) -> str:
        resource = None if route is None else route.resource
        if resource is None:
            return match.prefix if isinstance(match, AppNotRunning) else UNMATCHED
        endpoint = endpoint_label(resource.canonical)
        self._last = route, endpoint
        return endpoint

    def _log(
        self, request: Any, endpoint: str, response: web.StreamResponse, seconds: float
    ) -> None:
        self._state.requests.record(
            request.get(IDENTITY),
            request.method,
            shorten(request.path, 2_000),
            endpoint,
            response.status,
            seconds,
            response.body_length,
            client_address(request.remote, request.headers, self._state.settings.trusted_proxies),
            shorten(request.headers.get("User-Agent", ""), 500),
        )
