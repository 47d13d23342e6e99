"""Checks what the service needs of this machine, with the errors of the start."""

import http.client
import threading
from collections.abc import Callable
from functools import partial

from aliaport.embedded import check_embedded, own_folder
from aliaport.errors import OccupiedError, StartupError
from aliaport.healthcheck import check as check_health
from aliaport.healthcheck import reachable
from aliaport.logs.pipeline import check_log_folder
from aliaport.process.address import find
from aliaport.settings import Settings
from aliaport.web.aiohttp_internals import check_aiohttp
from aliaport.web.listening import check_address, reject_shared_address
from aliaport.web.server import connection_limits

HEALTH_TIMEOUT = 2.0
"""Seconds to find out whether it is Aliaport that has a port, if this user cannot see that."""


def check_machine(settings: Settings, *, embedded: bool) -> tuple[list[str], list[str]]:
    """Return the problems that keep the service from starting here, and warnings.

    `embedded` says whether it would start its own database. What is in use by a service with this
    address, or in another container, is only a warning: that service is probably to be replaced.
    """
    internal = settings.internal_port is not None
    checks: list[Callable[[], object]] = [
        partial(check_log_folder, settings.log),
        partial(check_address, settings.host, settings.port, "ALIAPORT_PORT"),
        check_aiohttp,
        partial(connection_limits, settings.http, internal=internal),
    ]
    if settings.internal_port is not None:
        host, port = settings.internal_host, settings.internal_port
        public = settings.host, settings.port
        checks.append(partial(reject_shared_address, public, (host, port)))
        checks.append(partial(check_address, host, port, "ALIAPORT_INTERNAL_PORT"))
    if embedded:
        checks.append(lambda: check_embedded(own_folder()))
    problems: list[str] = []
    warnings: list[str] = []
    for check in checks:
        try:
            check()
        except OccupiedError as error:
            expected = error.hidden or _is_running(settings)
            (warnings if expected else problems).append(str(error))
        except StartupError as error:
            problems.append(str(error))
    return problems, [f"{problem} (unless that one is to be replaced)" for problem in warnings]


def _is_running(settings: Settings) -> bool:
    # A service that is frozen does not respond, but has published its addresses.
    published = (port for addresses in find(everyone=True) for _, port in addresses)
    if settings.port in published:
        return True
    responses: list[bool] = []
    # The socket's timeout does not end a response that arrives byte by byte.
    probing = threading.Thread(target=lambda: responses.append(_responds(settings)), daemon=True)
    probing.start()
    probing.join(HEALTH_TIMEOUT)
    return any(responses)


def _responds(settings: Settings) -> bool:
    try:
        check_health(reachable(settings.host), settings.port, "/health", HEALTH_TIMEOUT)
    except (OSError, http.client.HTTPException, ValueError):
        return False
    return True
