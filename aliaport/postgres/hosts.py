"""Connects to the first host of a URL that can be used, and keeps why the others cannot."""

import asyncio
import random
from typing import Any

import asyncpg

from aliaport.postgres.arguments import connect_arguments
from aliaport.postgres.faults import ConnectTimeout, NoHostError
from aliaport.postgres.other_protocols import NotPostgresError, is_other_protocol
from aliaport.postgres.session import Session
from aliaport.settings.database_url import DEFAULT_HOSTS, DatabaseUrl

ATTEMPT_TIMEOUT = 60.0
"""Seconds; a stop for what nobody waits for. All callers give up much earlier."""

_NEXT_HOST = (OSError, asyncpg.CannotConnectNowError, asyncpg.TargetServerAttributeNotMatched)
"""Errors after which libpq tries the next host: not those of the password or the database."""


async def dial(url: DatabaseUrl, limit: float, **arguments: Any) -> Session:
    """Connect to a resolved URL; several hosts share `limit` seconds equally.

    A host that does not respond must not use up the time of the others. `arguments` are further
    arguments of `asyncpg.connect`. Raises its errors, and NoHostError for several hosts.
    """
    given = {**connect_arguments(url), **arguments, "connection_class": Session}
    if len(url.hosts) == 1 or url.hosts == DEFAULT_HOSTS:
        return await _connect(given, ATTEMPT_TIMEOUT)
    addresses = list(url.addresses)
    if url.options.get("load_balance_hosts") == "random":
        random.shuffle(addresses)
    wanted = given["target_session_attrs"]
    rounds = ("standby", "any") if wanted == "prefer-standby" else (wanted,)
    failures: dict[tuple[str, int | None], Exception] = {}
    for attribute in rounds:
        for host, port in addresses:
            single = {"host": host, "port": port, "target_session_attrs": attribute}
            try:
                return await _connect({**given, **single}, limit / (len(addresses) * len(rounds)))
            except _NEXT_HOST as error:
                failures[host, port] = error
    raise NoHostError(failures)


async def _connect(arguments: dict[str, Any], limit: float) -> Session:
    try:
        async with asyncio.timeout(limit):
            session: Session = await asyncpg.connect(**arguments, timeout=ATTEMPT_TIMEOUT)
    except TimeoutError as error:
        if error.errno is not None:
            raise
        raise ConnectTimeout(f"no connection within {limit:g} s") from None
    except (ConnectionError, asyncpg.ConnectionDoesNotExistError) as error:
        if not isinstance(error, ConnectionRefusedError) and await _responds_otherwise(arguments):
            raise NotPostgresError("what responds there is not PostgreSQL") from None
        raise
    return session


async def _responds_otherwise(arguments: dict[str, Any]) -> bool:
    """Return True if something else than PostgreSQL responds at the only address."""
    hosts, ports = _listed(arguments["host"]), _listed(arguments["port"])
    if len(hosts) > 1 or hosts[0].startswith("/") or arguments["direct_tls"]:
        return False
    return await is_other_protocol(hosts[0], ports[0])


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
