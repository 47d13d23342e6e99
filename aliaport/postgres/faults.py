"""Shows why the database cannot be used: a code, the reason, and what to change."""

import errno
import os
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg

from aliaport.errors import StartupError
from aliaport.plugin import Context
from aliaport.postgres.arguments import database_url
from aliaport.postgres.delays import Delay, delay_of
from aliaport.postgres.encoding import UnsupportedDatabaseError
from aliaport.postgres.other_protocols import NotPostgresError
from aliaport.postgres.passfile import PasswordFileError, passfile_problem
from aliaport.postgres.session_settings import RefusedSettingError
from aliaport.postgres.tls_faults import is_refusal, tls_reason
from aliaport.settings.database_options import SSL_MODES
from aliaport.settings.database_url import DatabaseUrl

FAULTS = (
    *(OSError, TimeoutError),
    *(asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError),
    *(UnsupportedDatabaseError, RefusedSettingError, PasswordFileError),
)
"""Exceptions of connecting and of statements if the database fails or refuses."""

FAULT_CODES = {
    "local_limit": "this process or machine has no descriptor, memory or port left",
    "tls_failed": "the encrypted connection failed",
    "wrong_password": "the server rejected the password",
    "not_authorised": "the server rejected this user, address or database",
    "unknown_database": "the database does not exist on the server",
    "too_many_connections": "the server has no free connection slot",
    "starting_up": "the server is starting up",
    "recovering": "the server is replaying its log and does not accept connections yet",
    "shutting_down": "the server is shutting down",
    "read_only": "the server is read-only",
    "statement_timeout": "the server cancelled the statement, which took too long",
    "pool_exhausted": "all connections of the pool were in use",
    "query_timeout": "connected, but the statement timed out",
    "connection_lost": "the server closed the connection",
    "permission_denied": "this machine does not allow the connection",
    "connection_refused": "nothing is listening at the address",
    "connect_timeout": "connecting timed out: a firewall drops packets, or the server is frozen",
    "unreachable": "there is no network route to the address",
    "dns_failure": "the host name cannot be resolved",
    "unsupported": "the database is not supported",
    "misconfigured": "the settings of the connection cannot be used",
    "failed": "the server returned an error",
}
"""Meaning of each code. Of several errors, such as one for each address, the first one counts."""

_ADVICE = {
    "wrong_password": "correct the password in DATABASE_URL",
    "not_authorised": "see pg_hba.conf on the server, and whether the role has LOGIN",
    "unknown_database": "create it, or correct its name in DATABASE_URL",
    "too_many_connections": "close idle connections, or raise max_connections on the server",
    "starting_up": "wait",
    "recovering": "wait, and see the server's log",
    "shutting_down": "find out who stopped it",
    "read_only": "point DATABASE_URL at the primary; with several hosts, add "
    "target_session_attrs=read-write",
    "statement_timeout": "see the server's load, locks and disks",
    "pool_exhausted": "see what the statements wait for, and the size of the pool",
    "query_timeout": "see the server's load, locks and disks",
    "connection_lost": "see the server's log",
    "permission_denied": "see the rules of the local firewall and of the sandbox",
    "connection_refused": "start PostgreSQL, or correct host and port in DATABASE_URL",
    "connect_timeout": "check firewalls and the server's load, and whether PostgreSQL is at the "
    "host and port in DATABASE_URL",
    "unreachable": "check routes and interfaces, and the host in DATABASE_URL",
    "dns_failure": "correct the host in DATABASE_URL, or check the resolver",
    "misconfigured": "correct DATABASE_URL",
}


class QueryTimeout(Exception):
    """The statement took too long, as opposed to connecting."""


class ConnectTimeout(TimeoutError):
    """Connecting took too long, as opposed to a statement."""


class ConnectPending(ConnectTimeout):
    """There is no connection yet, but the attempt goes on."""


class PoolTimeout(TimeoutError):
    """All connections of a pool were in use for the whole time."""


class NoHostError(OSError):
    """None of several hosts can be used; `failures` has the error of each host and port."""

    def __init__(self, failures: Mapping[tuple[str, int | None], Exception]) -> None:
        super().__init__("no host can be used")
        self.failures = failures


_TYPES: tuple[tuple[type[BaseException], str], ...] = (
    (QueryTimeout, "query_timeout"),
    (ConnectTimeout, "connect_timeout"),
    (PoolTimeout, "pool_exhausted"),
    (asyncpg.InvalidPasswordError, "wrong_password"),
    (asyncpg.InvalidAuthorizationSpecificationError, "not_authorised"),
    (asyncpg.InvalidCatalogNameError, "unknown_database"),
    (asyncpg.TooManyConnectionsError, "too_many_connections"),
    (asyncpg.ReadOnlySQLTransactionError, "read_only"),
    (asyncpg.QueryCanceledError, "statement_timeout"),
    (asyncpg.LockNotAvailableError, "statement_timeout"),
    (asyncpg.AdminShutdownError, "shutting_down"),
    (asyncpg.CrashShutdownError, "shutting_down"),
    (asyncpg.PostgresConnectionError, "connection_lost"),
    (asyncpg.ClientConfigurationError, "misconfigured"),
    (asyncpg.UnsupportedClientFeatureError, "misconfigured"),
    (asyncpg.PostgresError, "failed"),
    (UnsupportedDatabaseError, "unsupported"),
    (RefusedSettingError, "misconfigured"),
    (PasswordFileError, "misconfigured"),
    (NotPostgresError, "misconfigured"),
    (StartupError, "misconfigured"),
)

_ERRNOS = {
    errno.ECONNREFUSED: "connection_refused",
    errno.ENOENT: "connection_refused",
    errno.ENOTDIR: "connection_refused",
    errno.ETIMEDOUT: "connect_timeout",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETDOWN: "unreachable",
    errno.EHOSTDOWN: "unreachable",
    errno.EAFNOSUPPORT: "unreachable",
    errno.EACCES: "permission_denied",
    errno.EPERM: "permission_denied",
    errno.EMFILE: "local_limit",
    errno.ENFILE: "local_limit",
    errno.ENOMEM: "local_limit",
    errno.ENOBUFS: "local_limit",
    errno.EADDRNOTAVAIL: "local_limit",
    errno.EADDRINUSE: "local_limit",
    errno.EAGAIN: "too_many_connections",  # a socket whose queue is full
    errno.ECONNRESET: "connection_lost",
    errno.ECONNABORTED: "connection_lost",
    errno.EPIPE: "connection_lost",
    errno.ENOTCONN: "connection_lost",
}

_LIMITS = {
    errno.EMFILE: ("this process has too many open files", "raise its limit (ulimit -n)"),
    errno.ENFILE: ("this machine has too many open files", "raise fs.file-max"),
    errno.EADDRNOTAVAIL: (
        "this machine has no free port, or not the address, to connect from",
        "see the number of its connections (ss -s), and net.ipv4.ip_local_port_range",
    ),
    errno.EADDRINUSE: (
        "this machine has no free port to connect from",
        "see the number of its connections (ss -s), and net.ipv4.ip_local_port_range",
    ),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the database cannot be used: a code of FAULT_CODES, and one line for operators.

    `delay` describes the statement that took too long, if one did.
    """

    code: str
    text: str
    delay: Delay | None = None

    @property
    def fields(self) -> dict[str, str]:
        """The fields of a log event: `code`, `problem`, and of a delay what it waited for."""
        fields = {"code": self.code, "problem": self.text}
        if self.delay is not None:
            fields |= {"statement": self.delay.statement, "waited_for": self.delay.wait}
            if self.delay.table:
                fields["locked_table"] = self.delay.table
            if self.delay.holders:
                fields["lock_holders"] = "; ".join(holder.text for holder in self.delay.holders)
        return fields


def explain(error: BaseException, context: Context) -> Fault:
    """Return the cause of an exception of FAULTS, or of QueryTimeout.

    The text names the target, such as `database "app" at db1:5432 as user "bob"`, and the setting
    to change. It never has a password.
    """
    try:
        return fault_at(error, database_url(context))
    except StartupError as unusable:
        return Fault("misconfigured", str(unusable))


def note_fault(error: BaseException, context: Context) -> None:
    """Add the cause to an exception, so that whoever reports it says what to change."""
    if not getattr(error, "__notes__", None):
        error.add_note(explain(error, context).text)


def fault_at(error: BaseException, url: DatabaseUrl | None) -> Fault:
    """Return the cause of an exception at a resolved URL; without one, the text has no target."""
    if url is not None and isinstance(error, NoHostError):
        found = {}
        for (host, port), failure in error.failures.items():
            single = replace(url, hosts=(host,), ports=(port,))
            found[single.places[0]] = _cause(failure, single)
        code, reason, advice = min(found.values(), key=_rank)
        if len({other for other, _, _ in found.values()}) > 1:
            listed = (f"{place}: {words}" for place, (_, words, _) in found.items())
            reason = f"no host can be used ({'; '.join(listed)})"
    else:
        code, reason, advice = _cause(error, url or DatabaseUrl())
    target = f": {url.target}" if url is not None else ""
    return Fault(code, f"{reason}{target}{'; ' if advice else ''}{advice}", delay_of(error))


def _cause(error: BaseException, url: DatabaseUrl) -> tuple[str, str, str]:
    """Return code, reason and advice of an error at one host."""
    parts = [(_code(part, url), part) for part in _parts(error)]
    code, cause = min(parts, key=lambda pair: list(FAULT_CODES).index(pair[0]))
    reason, advice = _words(code, cause, url)
    others = {_reason_of(part) for other, part in parts if other != code}
    if others:
        reason += f" (and: {', '.join(sorted(others))})"
    return code, reason, advice


def _rank(cause: tuple[str, str, str]) -> int:
    return list(FAULT_CODES).index(cause[0])


def _parts(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, or those of the single addresses that it sums up."""
    if isinstance(error, BaseExceptionGroup | NoHostError):
        summed_up = error.failures.values() if isinstance(error, NoHostError) else error.exceptions
        for part in summed_up:
            yield from _parts(part)
        return
    # A connection that asyncpg reports as closed may have an error of TLS or of the server.
    if isinstance(error, asyncpg.ConnectionDoesNotExistError) and error.__cause__ is not None:
        yield from _parts(error.__cause__)
        return
    text = str(error)
    if type(error) is OSError and error.errno is None and text.startswith("Multiple exceptions: "):
        numbers = dict.fromkeys(map(int, re.findall(r"\[Errno ([0-9]+)\]", text)))
        if numbers:  # asyncio keeps no more of them than the text
            yield from (OSError(number, os.strerror(number)) for number in numbers)
            return
    yield error


def _code(error: BaseException, url: DatabaseUrl) -> str:
    delay = delay_of(error)
    if delay is not None and delay.examined:
        return "statement_timeout"  # the server responds: it is the statement
    if tls_reason(error, url) is not None:
        return "tls_failed"
    if isinstance(error, asyncpg.CannotConnectNowError):
        text = str(error)
        if "shutting down" in text:
            return "shutting_down"
        return "starting_up" if "starting up" in text else "recovering"
    for kind, code in _TYPES:
        if isinstance(error, kind):
            return code
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        wanted = url.options.get("target_session_attrs")
        return "read_only" if wanted in ("read-write", "primary") else "failed"
    if is_refusal(error):
        return "misconfigured"
    if isinstance(error, asyncpg.InterfaceError):
        return "connection_lost" if "closed" in str(error) else "failed"
    if isinstance(error, asyncpg.InternalClientError):
        return "connection_lost"  # in the middle of a response
    if isinstance(error, socket.gaierror):
        return "local_limit" if _out_of_descriptors() else "dns_failure"
    if isinstance(error, OSError) and error.errno is not None:
        if error.errno in (errno.ENOENT, errno.ENOTDIR) and _socket(url) is None:
            return "failed"
        return _ERRNOS.get(error.errno, "failed")
    if isinstance(error, TimeoutError):
        return "query_timeout"  # or the wait for a free connection of a pool
    return "connection_lost" if isinstance(error, ConnectionError) else "failed"


def _words(code: str, error: BaseException, url: DatabaseUrl) -> tuple[str, str]:
    """Return the reason and what to change."""
    delay = delay_of(error)
    if delay is not None:
        return _delay_words(code, error, delay)
    tls = tls_reason(error, url)
    if tls is not None:
        return f"{FAULT_CODES[code]}: {tls[0]}", tls[1]
    if code == "local_limit" and isinstance(error, socket.gaierror):
        return _LIMITS[errno.EMFILE]
    if isinstance(error, PoolTimeout):
        return str(error), _ADVICE[code]
    if isinstance(error, ConnectPending):
        reason = f"{error}: the network is slow, or packets are dropped"
        return reason, "the attempt goes on, and the next run shows whether it succeeded"
    if isinstance(error, RefusedSettingError | PasswordFileError):
        return str(error), error.advice
    if is_refusal(error) or isinstance(error, NotPostgresError):
        return "what responds there is not PostgreSQL", "correct host and port in DATABASE_URL"
    if isinstance(error, OSError) and not isinstance(error, socket.gaierror):
        return _system_words(code, error, url)
    reason, advice = FAULT_CODES[code], _ADVICE.get(code, "")
    detail = _reason_of(error)
    if code == "wrong_password" and (problem := passfile_problem(url)):
        return problem
    if code == "wrong_password" and url.password is None:
        advice = "DATABASE_URL has no password: add it"
    if code == "not_authorised" and "client certificate" in detail:
        advice = "set sslcert and sslkey in DATABASE_URL"
    if code == "not_authorised" and "no encryption" in detail:
        advice = "the server may require TLS: add sslmode=verify-full to DATABASE_URL, or see its "
        advice += "pg_hba.conf"
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        wanted = url.options.get("target_session_attrs", "any")
        reason, detail = f"no host has target_session_attrs={wanted}", ""
        if code != "read_only":
            advice = "see which hosts are replicas"
    return f"{reason}: {detail}" if detail else reason, advice


def _delay_words(code: str, error: BaseException, delay: Delay) -> tuple[str, str]:
    reason = f"{delay.statement} was given up after {delay.seconds:.1f} s"
    if delay.holders:
        holders = "; ".join(holder.text for holder in delay.holders)
        pid = delay.holders[0].pid
        end = f", or end it with pg_terminate_backend({pid})" if pid else ", or end it"
        table = f" on {delay.table}" if delay.table else ""
        return f"waited for a lock{table} of {holders}: {reason}", f"wait for that session{end}"
    if isinstance(error, asyncpg.LockNotAvailableError):
        return f"{reason}: it waited for a lock longer than lock_timeout", "see pg_locks"
    if delay.examined:
        return f"{reason}: it waited for no lock", "see the server's load and disks, and its plan"
    if code == "statement_timeout":
        return f"{reason}; whether it waited for a lock is unknown", _ADVICE[code]
    return f"{FAULT_CODES[code]}: {reason}, and the server did not respond", _ADVICE[code]


def _system_words(code: str, error: OSError, url: DatabaseUrl) -> tuple[str, str]:
    if error.errno in _LIMITS:
        return _LIMITS[error.errno]
    what = os.strerror(error.errno) if error.errno else str(error)
    reason, advice = FAULT_CODES[code], _ADVICE.get(code, "")
    if code == "failed":
        return f"the connection failed: {what}" if what else "the connection failed", advice
    if code == "local_limit":
        return f"{reason}: {what}", "see the limits and the memory of this machine"
    if code == "connection_lost" and url.options.get("sslnegotiation") == "direct":
        advice = "sslnegotiation=direct needs PostgreSQL 17; see the server's log"
    elif code == "connection_lost" and url.ssl_mode in SSL_MODES[3:]:
        advice += f", also for the TLS handshake{_versions(url)}"
    path = _socket(url)
    if path is None:
        named = f" ({what})" if code in ("unreachable", "permission_denied") else ""
        return f"{reason}{named}", advice
    if code == "permission_denied":
        return f"{path}: {what}", "allow this process's user to use the socket and its folder"
    if code == "connection_refused":
        folder = "" if path.parent.is_dir() else ", whose folder does not exist"
        reason = f"nothing is listening at the socket{folder}"
        advice = "start PostgreSQL, and compare its unix_socket_directories with DATABASE_URL"
    return reason, advice


def _versions(url: DatabaseUrl) -> str:
    """Return the options of the URL that limit the version of TLS."""
    names = ("ssl_min_protocol_version", "ssl_max_protocol_version")
    given = " and ".join(f"{name}={url.options[name]}" for name in names if name in url.options)
    return f", and whether it supports {given}" if given else ""


def _out_of_descriptors() -> bool:
    """Return True if no file can be opened: a look-up then finds no name."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False


def _socket(url: DatabaseUrl) -> Path | None:
    """Return the path of the socket if the URL has one, and nothing else."""
    places = url.places
    return Path(places[-1]) if places and places[-1].startswith("/") else None


def _reason_of(error: BaseException) -> str:
    """Return the text of an error in one line, without its number."""
    if isinstance(error, OSError) and error.strerror:
        if error.errno is None or isinstance(error, socket.gaierror):
            return error.strerror
        return os.strerror(error.errno)
    return str(error).split("\n", 1)[0]
