"""Makes the aiohttp applications: the public one and, if there is one, the internal one."""

from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler

from aliaport.apps import TRUSTED_PROXIES
from aliaport.web import handlers
from aliaport.web.apps import Mounts
from aliaport.web.core import CORE, Core
from aliaport.web.middleware import shape_errors


def make_app(core: Core, *, detailed: bool) -> web.Application:
    """Return the application. `detailed` tells whether it has /status and /metrics."""
    app = web.Application(middlewares=[shape_errors(core)])
    app[CORE] = core
    app[TRUSTED_PROXIES] = core.settings.trusted_proxies
    routes: dict[str, Handler] = {
        "/": handlers.index,
        "/health": handlers.Health().answer,
        "/ready": handlers.ready,
    }
    if detailed:
        routes |= {
            "/status": handlers.status,
            "/status/{probe}": handlers.one_probe,
            "/metrics": handlers.metrics,
        }
    for path, handler in routes.items():
        # Balancers do not follow redirects: both spellings answer.
        for spelling in (path,) if path == "/" else (path, f"{path}/"):
            app.router.add_get(spelling, handler)
            app.router.add_route("OPTIONS", spelling, handlers.options)
    _expect(core, routes)
    app.router.register_resource(Mounts(core.apps))
    return app


def _expect(core: Core, paths: Iterable[str]) -> None:
    """Let the known series exist from the start: a rate needs the 0 before the first error."""
    for path in paths:
        statuses = (200, 500, 503) if path == "/ready" else (200, 500)
        core.http.expect("GET", path, *statuses)
