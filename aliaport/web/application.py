"""Builds the aiohttp applications: the public one and, if configured, the internal one."""

from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler

from aliaport.apps import TRUSTED_PROXIES
from aliaport.web import handlers, openapi
from aliaport.web.exact import ExactPath, ExactPattern
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
        # Load balancers do not follow redirects. Of all other paths a proxy blocks one spelling.
        for spelling in (path, f"{path}/") if path in ("/health", "/ready") else (path,):
            resource = ExactPattern(path) if "{" in path else ExactPath(spelling)
            resource.add_route("GET", handler)
            resource.add_route("HEAD", handler)
            # A check by OPTIONS /ready means readiness, as GET does; 405 would break such checks.
            options = handler if path == "/ready" else handlers.options
            resource.add_route("OPTIONS", options)
            app.router.register_resource(resource)
    _expect(state, (*routes, openapi.PATH))
    app.router.register_resource(Mounts(state.apps, _document(state)))
    return app


def _document(state: AppState) -> ExactPath:
    """Return the resource of the OpenAPI document, for all paths that no application has."""
    document = openapi.OpenApi(state.log)

    async def respond(_: web.Request) -> web.Response:
        described = [
            (app.name, app.description)
            for app in state.apps
            if app.declared is not None and app.description is not None
        ]
        return openapi.respond_with(document.document(described))

    resource = ExactPath(openapi.PATH)
    resource.add_route("GET", respond)
    resource.add_route("HEAD", respond)
    return resource


def _expect(state: AppState, paths: Iterable[str]) -> None:
    """Create the known series at the start: a rate needs the 0 before the first error."""
    for path in paths:
        statuses = (200, 500, 503) if path == "/ready" else (200, 500)
        state.http.expect("GET", path, *statuses)
