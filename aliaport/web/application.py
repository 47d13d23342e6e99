"""Builds the aiohttp applications: the public one and, if configured, the internal one."""

from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler

from aliaport.apps import TRUSTED_PROXIES
from aliaport.web import handlers
from aliaport.web.middleware import shape_errors
from aliaport.web.mounts import Mounts
from aliaport.web.state import STATE, AppState


def make_app(state: AppState, *, detailed: bool) -> web.Application:
    """Return the application; it has /status and /metrics only if `detailed` is set."""
    app = web.Application(middlewares=[shape_errors(state)])
    app[STATE] = state
    app[TRUSTED_PROXIES] = state.settings.trusted_proxies
    routes: dict[str, Handler] = {
        "/": handlers.index,
        "/health": handlers.Health().respond,
        "/ready": handlers.ready,
    }
    if detailed:
        routes |= {
            "/status": handlers.status,
            "/status/{probe}": handlers.one_probe,
            "/metrics": handlers.metrics,
        }
    for path, handler in routes.items():
        # Load balancers do not follow redirects, so both spellings respond.
        for spelling in (path,) if path == "/" else (path, f"{path}/"):
            app.router.add_get(spelling, handler)
            # A check by OPTIONS /ready means readiness, as GET does; 405 would break such checks.
            options = handler if path == "/ready" else handlers.options
            app.router.add_route("OPTIONS", spelling, options)
    _expect(state, routes)
    app.router.register_resource(Mounts(state.apps))
    return app


def _expect(state: AppState, paths: Iterable[str]) -> None:
    """Create the known series at the start: a rate needs the 0 before the first error."""
    for path in paths:
        statuses = (200, 500, 503) if path == "/ready" else (200, 500)
        state.http.expect("GET", path, *statuses)
