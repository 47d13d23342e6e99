"""The arguments of asyncpg for a database URL: its parsed parts, never its text."""

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from aliaport.errors import StartupError
from aliaport.plugin import Context
from aliaport.postgres.passfile import check_passfile
from aliaport.postgres.tls import tls_context
from aliaport.settings.database_url import DatabaseUrl

MAX_CONNECT_TIMEOUT = 60.0
"""Seconds; libpq knows no limit."""

_UNENFORCED = ("allow", "prefer")
"""Values of sslmode with which asyncpg itself tries both with TLS and without."""

_TLS_OPTIONS = (
    *("sslcert", "sslkey", "sslpassword"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version"),
)


def database_url(context: Context) -> DatabaseUrl:
    """Return the resolved URL of the context's database. Raises StartupError if there is none."""
    if context.database_url is None:
        raise StartupError(
            "there is no database: set DATABASE_URL=postgresql://user:password@host:5432/name"
        )
    try:
        return DatabaseUrl.parse(context.database_url.get_secret_value()).resolved()
    except ValueError as error:
        raise StartupError(f"DATABASE_URL: {error}") from None


def connect_timeout(url: DatabaseUrl, default: float) -> float:
    """Return the seconds that the URL allows for connecting: `default` without connect_timeout."""
    seconds = int(url.options.get("connect_timeout", 0))
    return min(seconds, MAX_CONNECT_TIMEOUT) if seconds > 0 else default


def connect_arguments(url: DatabaseUrl) -> dict[str, Any]:
    """Return the arguments of `asyncpg.connect` for a resolved URL, without settings.

    Raises CertificateFileError and PasswordFileError.
    """
    options = url.options
    check_passfile(url)
    arguments: dict[str, Any] = {
        "host": [host for host, _ in url.addresses],
        "port": [port for _, port in url.addresses],
        "user": url.user,
        "password": url.password.get_secret_value() if url.password else None,
        "database": url.database,
        "target_session_attrs": options.get("target_session_attrs", "any"),
        **_tls(url),
    }
    if passfile := options.get("passfile"):
        arguments["passfile"] = Path(passfile)
    return arguments | {key: options[key] for key in ("krbsrvname", "gsslib") if key in options}


def _tls(url: DatabaseUrl) -> dict[str, Any]:
    if url.ssl_mode == "disable" or all(host.startswith("/") for host in url.hosts):
        return {"ssl": False, "direct_tls": False}
    context = tls_context(url)
    if url.ssl_mode not in _UNENFORCED:
        direct = url.options.get("sslnegotiation") == "direct"
        return {"ssl": context, "direct_tls": direct}
    given = {key: url.options[key] for key in _TLS_OPTIONS if key in url.options}
    return {
        "ssl": url.ssl_mode,
        "direct_tls": False,
        "dsn": f"postgresql://?{urlencode(given)}" if given else None,
    }
