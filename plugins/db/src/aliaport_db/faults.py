"""Maps asyncpg's exceptions to the probe's codes."""

import socket
import ssl

import asyncpg

from aliaport.postgres import QueryTimeout, UnsupportedDatabaseError

REASONS = {
    "wrong_password": "the server rejected the password",
    "not_authorised": "the server rejected this user, address or database; see pg_hba.conf",
    "unknown_database": "the database does not exist on the server",
    "dns_failure": "the host name cannot be resolved",
    "connection_refused": "nothing is listening at the address",
    "unreachable": "there is no network route to the address",
    "connect_timeout": "connecting timed out: a firewall drops packets, or the server is frozen",
    "query_timeout": "connected, but the query timed out",
    "too_many_connections": "the server has no free connection slot",
    "starting_up": "the server is starting up",
    "recovering": "the server is replaying its log and does not accept connections yet",
    "shutting_down": "the server is shutting down",
    "connection_lost": "the server closed the connection",
    "tls_failed": "the encrypted connection failed",
    "read_only": "the server is read-only",
    "unsupported": "not supported",
    "failed": "the server returned an error",
}
"""Meaning of every probe code except `ok`."""


_CODES: tuple[tuple[type[BaseException], str], ...] = (
    (QueryTimeout, "query_timeout"),
    (UnsupportedDatabaseError, "unsupported"),
    (TimeoutError, "connect_timeout"),
    (asyncpg.InvalidPasswordError, "wrong_password"),
    (asyncpg.InvalidAuthorizationSpecificationError, "not_authorised"),
    (asyncpg.InvalidCatalogNameError, "unknown_database"),
    (asyncpg.TooManyConnectionsError, "too_many_connections"),
    (asyncpg.ReadOnlySQLTransactionError, "read_only"),
    (asyncpg.QueryCanceledError, "query_timeout"),
    (asyncpg.AdminShutdownError, "shutting_down"),
    (asyncpg.CrashShutdownError, "shutting_down"),
    (asyncpg.PostgresConnectionError, "connection_lost"),
    (asyncpg.InterfaceError, "connection_lost"),
    (asyncpg.InternalClientError, "connection_lost"),  # the connection was lost mid-query
    (asyncpg.PostgresError, "failed"),
    (socket.gaierror, "dns_failure"),
    (ssl.SSLError, "tls_failed"),
    (ConnectionRefusedError, "connection_refused"),
    (FileNotFoundError, "connection_refused"),
    (ConnectionError, "connection_lost"),
    (OSError, "unreachable"),
)


def code_of(error: BaseException) -> str:
    """Return the code for `error`, or `failed` if no code is more specific."""
    if isinstance(error, asyncpg.CannotConnectNowError):
        text = str(error)
        if "shutting down" in text:
            return "shutting_down"
        return "starting_up" if "starting up" in text else "recovering"
    return next((code for kind, code in _CODES if isinstance(error, kind)), "failed")
