"""Opens the connections of one component: directly, or through a pooler that has limits."""

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import asyncpg

from aliaport.contract.families import DB_QUERY_DURATION
from aliaport.plugin import Context
from aliaport.postgres import poolers
from aliaport.postgres.arguments import (
    connect_timeout,
    database_url,
    session_settings,
)
from aliaport.postgres.encoding import check_encoding
from aliaport.postgres.forgotten import remember
from aliaport.postgres.hosts import dial
from aliaport.postgres.session import Session
from aliaport.postgres.watch import Watch
from aliaport.settings.database_url import DatabaseUrl

CONNECT_TIMEOUT = 3.0
"""Seconds, unless the URL has connect_timeout."""

CANCEL_MARGIN = 0.25
"""Seconds after the statement timeout in which a server that works has cancelled the statement. So
a timeout of ours means that it does not respond."""

PREPARED_STATEMENTS = 100
"""Kept for each session; asyncpg's default."""

_REFUSED_AT_START = ("08P01", "0A000", "22023", "42501", "42704", "55P02")
"""SQLSTATEs of servers and poolers that refuse a setting while connecting: PgBouncer's first."""

_REFUSED_CREDENTIALS = (
    asyncpg.InvalidPasswordError,
    asyncpg.InvalidAuthorizationSpecificationError,
)

_LOST_STATEMENTS = (
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.DuplicatePreparedStatementError,
)
"""Errors of prepared statements that are looked for in another server session."""


def server_settings(component: str, statement_timeout: float) -> dict[str, str]:
    """Return the server settings of a connection: a name, and timeouts that stop abandoned work.

    Without the keepalives, the server would hold the locks of a vanished machine for two hours.
    """
    return {
        "application_name": f"aliaport-{component}",
        "statement_timeout": str(round(statement_timeout * 1000)),
        "idle_in_transaction_session_timeout": "60000",
        "client_connection_check_interval": "2000",
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
    }


class Opener:
    """Opens sessions with a name, timeouts and additional settings.

    With `own_session` they are refused behind a pooler that shares server sessions among its
    clients, since locks, settings and prepared statements do not last there.
    """

    def __init__(
        self,
        context: Context,
        *,
        component: str,
        statement_timeout: float,
        settings: Mapping[str, str] | None = None,
        own_session: bool = False,
    ) -> None:
        self._context = context
        self._component = component
        self._statement_timeout = statement_timeout
        self._settings = {**server_settings(component, statement_timeout), **(settings or {})}
        self._name = {"application_name": self._settings["application_name"]}
        self._own_session = own_session
        self._working: DatabaseUrl | None = None
        self._refused: DatabaseUrl | None = None

    @property
    def timeout(self) -> float:
        """Seconds that the URL allows for connecting. Raises StartupError without a URL."""
        return connect_timeout(database_url(self._context), CONNECT_TIMEOUT)

    async def open(self) -> Session:
        """Open one session; the caller limits the time.

        If the server refuses the credentials of a changed file, the former ones are used as long as
        they work: then it does not matter which of both sides is changed first. Raises PoolerError,
        UnsupportedDatabaseError, OSError, TimeoutError and asyncpg's errors, none of which names
        the password.
        """
        url = database_url(self._context)
        former = self._working
        try:
            return await self.open_at(url)
        except _REFUSED_CREDENTIALS as error:
            if former is None or former == url or _database(former) != _database(url):
                raise
            session = await self._session(former)
            if self._refused != url:
                self._refused = url
                self._context.log.warning(
                    "database.former_credentials",
                    component=self._component,
                    reason=type(error).__name__,
                )
        return session

    async def open_at(self, url: DatabaseUrl) -> Session:
        """Open one session at this URL, as `open` does, and remember that it works."""
        session = await self._session(url)
        self._working = url
        return session

    async def _session(self, url: DatabaseUrl) -> Session:
        server = poolers.known(url)
        with ExitStack() as undo:
            session, accepted = await self._dial(url, server or poolers.Server())
            undo.callback(session.terminate)
            check_encoding(session)
            if server is None or (self._own_session and server.pooled):  # its mode may have changed
                server = await self._examine(url, session)
                poolers.remember(url, server)
                if server.shared:
                    session.terminate()
                    session, _ = await self._dial(url, server)
                    undo.callback(session.terminate)
            if server.shared:
                session.mark_shared()
            elif not (accepted and server.accepts_settings):
                await self._apply_settings(session, url)
            if self._own_session:
                if server.shared:
                    raise poolers.PoolerError(poolers.shared_session(self._component))
                session.own_pid = await poolers.server_pid(session)
            session.add_query_logger(self._observer(url, session))
            session.watch(self._watch(url, session, server))
            remember(session, self._context)
            undo.pop_all()
        return session

    def _observer(self, url: DatabaseUrl, session: Session) -> Callable[[Any], None]:
        """Return a function that records the duration of each statement in the shared histogram."""
        histogram = self._context.histogram(DB_QUERY_DURATION)

        def observe(record: Any) -> None:
            histogram.observe(record.elapsed, component=self._component)
            if isinstance(record.exception, _LOST_STATEMENTS):
                # The pooler in between shares its sessions by now.
                poolers.forget(url)
                session.terminate()

        return observe

    def _watch(self, url: DatabaseUrl, session: Session, server: poolers.Server) -> Watch:
        pooled = server.pooled or server.shared
        return Watch(
            url,
            None if pooled else session.get_server_pid(),
            session_settings(url, self._name)["application_name"],
            self._statement_timeout,
            lambda: self._dial_with(url, session_settings(url, self._name), 0),
        )

    async def _examine(self, url: DatabaseUrl, session: Session) -> poolers.Server:
        pooled, applied = await poolers.examine(session)
        if not pooled:
            return poolers.Server(applied)
        other = await self._dial_named(url)
        try:
            return poolers.Server(applied, pooled, await poolers.shares_sessions(session, other))
        finally:
            other.terminate()

    async def _apply_settings(self, session: Session, url: DatabaseUrl) -> None:
        """Set what the server knows of the settings, in one round trip."""
        statement = _set_statement(session_settings(url, self._settings))
        await session.execute(statement)
        session.keep(statement)

    async def _dial(self, url: DatabaseUrl, server: poolers.Server) -> tuple[Session, bool]:
        """Return a session, and whether it was accepted with all settings."""
        if server.shared:  # ours would apply to other clients; those of the URL must be accepted
            return await self._dial_with(url, session_settings(url, self._name), 0), False
        if server.accepts_settings:
            settings = session_settings(url, self._settings)
            try:
                return await self._dial_with(url, settings, PREPARED_STATEMENTS), True
            except asyncpg.PostgresError as error:
                if error.sqlstate not in _REFUSED_AT_START:
                    raise
        return await self._dial_named(url), False

    async def _dial_with(
        self, url: DatabaseUrl, settings: Mapping[str, str], prepared_statements: int
    ) -> Session:
        return await dial(
            url,
            connect_timeout(url, CONNECT_TIMEOUT),
            command_timeout=self._statement_timeout + CANCEL_MARGIN,
            statement_cache_size=prepared_statements,
            server_settings=dict(settings),
        )

    async def _dial_named(self, url: DatabaseUrl) -> Session:
        """Return a session with the only setting that every pooler accepts."""
        name = session_settings(url, self._name)["application_name"]
        return await self._dial_with(url, {"application_name": name}, PREPARED_STATEMENTS)


def _database(url: DatabaseUrl) -> tuple[tuple[str, ...], str | None]:
    return url.places, url.database


def _set_statement(settings: Mapping[str, str]) -> str:
    wanted = {**_from_options(settings.get("options", "")), **settings}
    values = ", ".join(f"({_quoted(name)}, {_quoted(value)})" for name, value in wanted.items())
    return (
        f"SELECT set_config(name, value, false) FROM (VALUES {values}) AS wanted (name, value) "  # noqa: S608
        "WHERE name LIKE '%.%' OR lower(name) IN (SELECT lower(name) FROM pg_settings);"
    )


def _from_options(text: str) -> dict[str, str]:
    """Return the settings of libpq's `options`, such as `-c search_path=app --jit=off`."""
    words = [re.sub(r"\\(.)", r"\1", word) for word in re.findall(r"(?:\\.|[^\s\\])+", text)]
    found = {}
    rest = iter(words)
    for word in rest:
        setting = next(rest, "") if word == "-c" else word[2:]
        name, _, value = setting.partition("=")
        found[name.replace("-", "_")] = value
    return found


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"
