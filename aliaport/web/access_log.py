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
"""Endpoints that balancers and Prometheus poll; their requests are logged only if noteworthy."""


class AccessCounter(AbstractAccessLogger):
    """An access logger whose `logger` is the AppState."""

    def __init__(self, state: Any, log_format: str) -> None:
        super().__init__(state, log_format)
        self._state: AppState = state

    @property
    def enabled(self) -> bool:
        """True, since every request is counted."""
        return True

    def log(self, request: Any, response: web.StreamResponse, time: float) -> None:
        """Count one request, completed or cancelled, and log it if it is noteworthy."""
        try:
            match = request.match_info
            resource = match.route.resource
        except (AssertionError, AttributeError):  # malformed: it never reached the router
            match = resource = None
        if resource is not None:
            endpoint = endpoint_label(resource.canonical)
        else:
            endpoint = match.prefix if isinstance(match, AppNotRunning) else UNMATCHED
        self._state.http.record(request.method, endpoint, response.status, time)
        if endpoint not in QUIET or self._is_noteworthy(
            request.method, endpoint, response.status, time
        ):
            self._log(request, endpoint, response, time)

    def _is_noteworthy(self, method: str, endpoint: str, status: int, seconds: float) -> bool:
        """Return True if a probe or scrape failed, was slow, or changed its status."""
        last_statuses = self._state.last_statuses
        before = last_statuses.get((method, endpoint), status)
        last_statuses[method, endpoint] = status
        log = self._state.settings.log
        return (
            log.probe_requests
            or status >= 400
            or status != before
            or seconds * 1000 >= log.slow_request_ms
        )

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
