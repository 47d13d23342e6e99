"""Opens the connections of one component: directly, or through a pooler that has limits."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import asyncpg

from aliaport.contract.families import DB_QUERY_DURATION
from aliaport.errors import StartupError
from aliaport.plugin import Context
from aliaport.postgres import poolers
from aliaport.postgres.arguments import connect_timeout, database_url
from aliaport.postgres.credentials import credentials_of
from aliaport.postgres.encoding import check_encoding
from aliaport.postgres.forgotten import remember
from aliaport.postgres.hosts import dial
from aliaport.postgres.session import Session
from aliaport.postgres.session_settings import (
    query_of_unmet,
    refused_by_pooler,
    refused_by_server,
    required_settings,
    server_settings,
    start_settings,
    statement_of,
)
from aliaport.postgres.watch import Watch
from aliaport.settings.database_url import DatabaseUrl

CONNECT_TIMEOUT = 3.0
"""Seconds, unless the URL has connect_timeout."""

CANCEL_MARGIN = 0.25
"""Seconds after the statement timeout in which a server that works has cancelled the statement. So
a timeout of ours means that it does not respond."""

PREPARED_STATEMENTS = 100
"""Kept for each session; asyncpg's default."""

_REFUSED_SETTING = ("0A000", "22023", "42501", "42704", "55P02")
"""SQLSTATEs of servers that refuse a setting."""

_REFUSED_AT_START = ("08P01", *_REFUSED_SETTING)
"""SQLSTATEs of servers and poolers that refuse a setting while connecting: PgBouncer's first."""

_POOLER_REFUSES = "startup parameter"
"""Part of PgBouncer's error for a setting that it does not know."""

_REFUSED_CREDENTIALS = (
    asyncpg.InvalidPasswordError,
    asyncpg.InvalidAuthorizationSpecificationError,
)

_LOST_STATEMENTS = (
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.DuplicatePreparedStatementError,
)
"""Errors of prepared statements that are looked for in another server session."""


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
        self._credentials = credentials_of(context)
        self._working: DatabaseUrl | None = None

    @property
    def timeout(self) -> float:
        """Seconds that the URL allows for connecting. Raises StartupError without a URL."""
        return connect_timeout(database_url(self._context), CONNECT_TIMEOUT)

    @property
    def is_current(self) -> bool:
        """False if the URL has changed since a session was opened with it."""
        try:
            return self._working == database_url(self._context)
        except StartupError:
            return True  # there is nothing to change to

    async def open(self) -> Session:
        """Open one session; the caller limits the time.

        If the server refuses the credentials of a changed file, the former ones are used as long as
        they work: then it does not matter which of both sides is changed first. Raises PoolerError,
        UnsupportedDatabaseError, OSError, TimeoutError and asyncpg's errors, none of which names
        the password.
        """
        url = database_url(self._context)
        former = self._credentials.working
        try:
            return await self.open_at(url)
        except _REFUSED_CREDENTIALS as error:
            if former is None or former == url or _database(former) != _database(url):
                raise
            session = await self._session(former)
            if self._credentials.refused != url:
                self._credentials.refused = url
                self._context.log.warning(
                    "database.former_credentials",
                    component=self._component,
                    reason=type(error).__name__,
                )
        return session

    async def open_at(self, url: DatabaseUrl) -> Session:
        """Open one session at this URL, as `open` does, and remember that it works."""
        session = await self._session(url)
        self._working = self._credentials.working = url
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
                await self._check_settings(session, url)
                session.mark_shared()
            elif server.pooled or not (accepted and server.accepts_settings):
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
            self._named(url)["application_name"],
            self._statement_timeout,
            lambda: self._dial_named(url, 0),
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
        """Set the settings of the URL and what the server knows of ours, in one round trip."""
        required = required_settings(url, self._settings)
        statement = statement_of(required, self._settings | self._named(url))
        try:
            await session.execute(statement)
        except asyncpg.PostgresError as error:
            if error.sqlstate not in _REFUSED_SETTING:
                raise
            await _raise_refused(session, url, required)
            raise
        session.keep(statement)

    async def _check_settings(self, session: Session, url: DatabaseUrl) -> None:
        """Raise RefusedSettingError unless all settings of the URL are in force."""
        required = required_settings(url, self._name)
        if not required:
            return
        try:
            (unmet,) = await poolers.ask(session, query_of_unmet(required))
        except asyncpg.PostgresError as error:
            if error.sqlstate not in _REFUSED_SETTING:
                raise
            await _raise_refused(session, url, required)
            raise
        if unmet:
            raise refused_by_pooler(url, unmet.partition(",")[0])

    async def _dial(self, url: DatabaseUrl, server: poolers.Server) -> tuple[Session, bool]:
        """Return a session, and whether it was accepted with all settings."""
        if server.shared:  # ours would apply to other clients; those of the URL must be accepted
            try:
                return await self._dial_with(url, start_settings(url, self._name), 0), False
            except asyncpg.PostgresError as error:
                if _POOLER_REFUSES not in str(error):
                    raise
                name = str(error).rpartition(": ")[2]
                raise refused_by_pooler(url, name) from None
        if server.accepts_settings:
            settings = start_settings(url, self._settings)
            try:
                return await self._dial_with(url, settings, PREPARED_STATEMENTS), True
            except asyncpg.PostgresError as error:
                if error.sqlstate not in _REFUSED_AT_START:
                    raise
        return await self._dial_named(url), False

    async def _dial_with(
        self, url: DatabaseUrl, settings: Mapping[str, str], prepared_statements: int
    ) -> Session:
        try:
            return await dial(
                url,
                connect_timeout(url, CONNECT_TIMEOUT),
                command_timeout=self._statement_timeout + CANCEL_MARGIN,
                statement_cache_size=prepared_statements,
                server_settings=dict(settings),
            )
        except asyncpg.PostgresSyntaxError as error:
            if "options" not in settings:
                raise
            raise refused_by_server(url, "options", str(error)) from None

    async def _dial_named(
        self, url: DatabaseUrl, prepared_statements: int = PREPARED_STATEMENTS
    ) -> Session:
        """Return a session with the only setting that every pooler accepts."""
        return await self._dial_with(url, self._named(url), prepared_statements)

    def _named(self, url: DatabaseUrl) -> dict[str, str]:
        return {"application_name": start_settings(url, self._name)["application_name"]}


def _database(url: DatabaseUrl) -> tuple[tuple[str, ...], str | None]:
    return url.places, url.database


async def _raise_refused(session: Session, url: DatabaseUrl, required: Mapping[str, str]) -> None:
    """Raise RefusedSettingError for the first setting that the server refuses, if there is one."""
    for name, value in required.items():
        try:
            await session.execute(query_of_unmet({name: value}))
        except asyncpg.PostgresError as error:
            raise refused_by_server(url, name, str(error)) from None
