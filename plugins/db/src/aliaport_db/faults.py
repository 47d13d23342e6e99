"""From what asyncpg raises to the codes of the probe."""

import socket
import ssl

import asyncpg

from aliaport.postgres import QueryTimeout

REASONS = {
    "wrong_password": "the server refuses the user's password",
    "not_authorised": "the server refuses this user, address or database (pg_hba.conf)",
    "unknown_database": "the server has no database of this name",
    "dns_failure": "the host's name cannot be resolved",
    "connection_refused": "nothing listens at the address",
    "unreachable": "the network has no way to the address",
    "connect_timeout": "no connection in time: a firewall drops packets, or the server is frozen",
    "query_timeout": "the server took the connection but does not answer the statement in time",
    "too_many_connections": "the server has no free connection slot",
    "starting_up": "the server is starting",
    "recovering": "the server replays its log and takes no connections yet",
    "shutting_down": "the server is shutting down",
    "connection_lost": "the server closed the connection",
    "tls_failed": "the encrypted connection failed",
    "read_only": "the server only reads",
    "failed": "the server answered with an error",
}
"""Every code of the probe but `ok`, with its meaning."""


_CODES: tuple[tuple[type[BaseException], str], ...] = (
    (QueryTimeout, "query_timeout"),
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
    (asyncpg.InternalClientError, "connection_lost"),  # the loss came in mid-statement
    (asyncpg.PostgresError, "failed"),
    (socket.gaierror, "dns_failure"),
    (ssl.SSLError, "tls_failed"),
    (ConnectionRefusedError, "connection_refused"),
    (FileNotFoundError, "connection_refused"),
    (ConnectionError, "connection_lost"),
    (OSError, "unreachable"),
)


def code_of(error: BaseException) -> str:
    """The code of a fault; `failed` where there is no better one."""
    if isinstance(error, asyncpg.CannotConnectNowError):
        text = str(error)
        if "shutting down" in text:
            return "shutting_down"
        return "starting_up" if "starting up" in text else "recovering"
    return next((code for kind, code in _CODES if isinstance(error, kind)), "failed")
