"""The URL of the database: parsed once, and shown without its password."""

import configparser
import getpass
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

from pydantic import SecretStr

from aliaport.redaction import MASK, redact
from aliaport.settings.database_options import SYSTEM_CERTIFICATES, check_option, check_together
from aliaport.settings.database_url_syntax import (
    SCHEMES,
    check_host,
    check_port,
    decoded,
    split_hosts,
    split_query,
    split_url,
    without_scheme,
)

DEFAULT_HOSTS = ("/run/postgresql", "/var/run/postgresql", "/tmp", "/private/tmp", "localhost")  # noqa: S108
"""Where a URL without a host looks for a server, in this order; so does asyncpg."""

DEFAULT_PORT = 5432
MAX_SOCKET_PATH = 107
"""Bytes that Linux accepts as the path of a socket."""

_SECRETS = ("password", "sslpassword")
ENVIRONMENT = {
    "PGHOST": "host",
    "PGPORT": "port",
    "PGUSER": "user",
    "PGPASSWORD": "password",
    "PGDATABASE": "database",
    "PGPASSFILE": "passfile",
    "PGSSLMODE": "sslmode",
    "PGSSLNEGOTIATION": "sslnegotiation",
    "PGSSLROOTCERT": "sslrootcert",
    "PGSSLCERT": "sslcert",
    "PGSSLKEY": "sslkey",
    "PGSSLCRL": "sslcrl",
    "PGSSLMINPROTOCOLVERSION": "ssl_min_protocol_version",
    "PGSSLMAXPROTOCOLVERSION": "ssl_max_protocol_version",
    "PGTARGETSESSIONATTRS": "target_session_attrs",
    "PGKRBSRVNAME": "krbsrvname",
    "PGGSSLIB": "gsslib",
}
"""Variables that apply to what the URL leaves out, and the options that they stand for."""


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """The parts of a URL. Its text, also that of `repr`, never contains a password.

    A host that begins with `/` is the folder of a socket. A port is None if the URL leaves it out.
    """

    hosts: tuple[str, ...] = ()
    ports: tuple[int | None, ...] = ()
    user: str | None = None
    password: SecretStr | None = None
    database: str | None = None
    options: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def parse(cls, text: str) -> "DatabaseUrl":
        """Parse a URL. Raises ValueError, which shows no part that may belong to a password.

        What libpq, asyncpg and other programs would read differently is refused.
        """
        text = text.strip()
        userinfo, hostspec, path, query = split_url(without_scheme(text))
        user, _, password = userinfo.partition(":")
        hosts, ports = split_hosts(hostspec)
        url = cls(
            hosts=hosts,
            ports=ports,
            user=decoded(user) or None,
            password=SecretStr(decoded(password)) if password else None,
            database=decoded(path) or None,
        )
        pairs = split_query(query)
        options = _from_keywords(pairs, nameable=not pairs.keys() & set(_SECRETS))
        _reject_twice(url, options)
        return _checked(_over(url, options))

    def resolved(self, environ: Mapping[str, str] = os.environ) -> "DatabaseUrl":
        """Return the URL with everything that connecting needs.

        What it leaves out comes from its service file, from the variables that begin with PG, and
        from the defaults of libpq. Raises ValueError, which names the file or variable.
        """
        url = self
        if service := self.options.get("service"):
            url = _over(url, _from_service(service, url.options.get("servicefile"), environ))
        for variable, key in ENVIRONMENT.items():
            if value := environ.get(variable):
                try:
                    url = _over(url, _from_keywords({key: value}))
                except ValueError as error:
                    raise ValueError(f"{error} (in the variable {variable})") from None
        user = url.user or _this_user()
        hosts = url.hosts or DEFAULT_HOSTS
        url = _checked(replace(url, user=user, database=url.database or user, hosts=hosts))
        return replace(url, ports=tuple(port or DEFAULT_PORT for _, port in url.addresses))

    @property
    def ssl_mode(self) -> str:
        """The sslmode in effect."""
        system = self.options.get("sslrootcert") == SYSTEM_CERTIFICATES
        return self.options.get("sslmode", "verify-full" if system else "prefer")

    @property
    def addresses(self) -> tuple[tuple[str, int | None], ...]:
        """Each host with its port: one port stands for all hosts."""
        ports = self.ports or (None,)
        return tuple(
            zip(self.hosts, ports * len(self.hosts) if len(ports) == 1 else ports, strict=True)
        )

    @property
    def places(self) -> tuple[str, ...]:
        """Host and port of each server, or the path of its socket, for messages."""
        return tuple(_place(host, port) for host, port in self.addresses)

    @property
    def target(self) -> str:
        """Description for errors, of a resolved URL: `database "app" at db:5432 as user "bob"`."""
        where = ", ".join(self.places)
        if self.hosts == DEFAULT_HOSTS:
            where = f"{self.places[-1]} or a socket of this machine"
        return f'database "{_plain(self.database)}" at {where} as user "{_plain(self.user)}"'

    def __str__(self) -> str:
        """Return a URL with the same meaning and `***` for each secret."""
        options = {key: _shown_option(key, value) for key, value in self.options.items()}
        options |= {key: MASK for key in _SECRETS if key in options}
        sockets = any(host.startswith("/") for host in self.hosts)
        if sockets:
            options = {"host": ",".join(self.hosts)} | options
            if any(self.ports):
                options["port"] = ",".join(str(port or "") for port in self.ports)
            authority = ""
        else:
            authority = ",".join(self.places).replace("%", "%25")
        if self.user is not None or self.password is not None:
            password = f":{MASK}" if self.password is not None else ""
            authority = f"{quote(self.user or '', safe='')}{password}@{authority}"
        path = "" if self.database is None else f"/{quote(self.database, safe='')}"
        query = "&".join(f"{key}={quote(value, safe='/*,.:')}" for key, value in options.items())
        return f"postgresql://{authority}{path}{'?' if query else ''}{query}"

    def __repr__(self) -> str:
        """Return the text without secrets."""
        return f"DatabaseUrl({str(self)!r})"


def _shown_option(key: str, value: str) -> str:
    shown, pair = redact(value), f"{key}={value}"
    return MASK if shown == value and redact(pair) != pair else shown


def is_database_url(text: str) -> bool:
    """Return True if a text is meant as the URL of a PostgreSQL database."""
    return text.lstrip().startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def shown_url(text: str) -> str:
    """Return a database URL without its password; `***` if it cannot be parsed."""
    try:
        return str(DatabaseUrl.parse(text))
    except ValueError:
        return MASK


def _over(url: DatabaseUrl, below: DatabaseUrl) -> DatabaseUrl:
    """Return a URL, with what it leaves out taken from another."""
    return DatabaseUrl(
        hosts=url.hosts or below.hosts,
        ports=_filled(url.ports, below.ports),
        user=url.user or below.user,
        password=url.password or below.password,
        database=url.database or below.database,
        options={**below.options, **url.options},
    )


def _reject_twice(url: DatabaseUrl, options: DatabaseUrl) -> None:
    """Raise ValueError if an option repeats a part: libpq and asyncpg prefer different ones."""
    if url.hosts and options.ports:
        raise ValueError("has the port after the '?'; write it after the host, as in db:5432")
    for name, mine, other in (
        ("the host", url.hosts, options.hosts),
        ("the user", url.user, options.user),
        ("the password", url.password, options.password),
        ("the database", url.database, options.database),
    ):
        if mine and other:
            raise ValueError(f"has {name} twice; write it only once, before the '?'")


def _checked(url: DatabaseUrl) -> DatabaseUrl:
    """Return the URL. Raises ValueError if parts do not fit together."""
    check_together(url.ssl_mode, url.options)
    if "://" in (url.database or ""):
        raise ValueError("has a URL as the name of the database, which is not supported")
    if url.hosts and len(url.ports) > 1 and len(url.ports) != len(url.hosts):
        raise ValueError(f"has {len(url.ports)} ports for {len(url.hosts)} hosts")
    for host, place in zip(url.hosts, url.places, strict=True):
        if host.startswith("/") and len(os.fsencode(place)) > MAX_SOCKET_PATH:
            raise ValueError(
                f"has a socket whose path is longer than {MAX_SOCKET_PATH} bytes; use a "
                "shorter folder"
            )
    return url


def _from_keywords(pairs: Mapping[str, str], *, nameable: bool = True) -> DatabaseUrl:
    """Return what libpq's keywords say. Raises ValueError."""
    for key, value in pairs.items():
        check_option(key, value, nameable=nameable)
    options = dict(pairs)
    host, port = options.pop("host", ""), options.pop("port", "")
    password = options.pop("password", None)
    name, other = options.pop("dbname", None), options.pop("database", None)
    if name and other:
        raise ValueError("has the database twice; write it only once, before the '?'")
    return DatabaseUrl(
        hosts=tuple(map(check_host, host.split(","))) if host else (),
        ports=tuple(check_port(number) if number else None for number in port.split(","))
        if port
        else (),
        user=options.pop("user", None),
        password=SecretStr(password) if password else None,
        database=name or other,
        options=options,
    )


def _from_service(name: str, file: str | None, environ: Mapping[str, str]) -> DatabaseUrl:
    home = environ.get("HOME", "")
    path = Path(file or environ.get("PGSERVICEFILE") or Path(home, ".pg_service.conf"))
    services = configparser.ConfigParser(interpolation=None)
    try:
        services.read_string(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"names a service, but {path}: {error.strerror}") from None
    except (UnicodeDecodeError, configparser.Error):
        raise ValueError(f"names a service, but {path} is not a valid service file") from None
    if name not in services:
        raise ValueError(f"names a service that {path} does not have; add its section")
    try:
        return _from_keywords(services[name])
    except ValueError as error:
        raise ValueError(f"{error} (in the service file {path})") from None


def _filled(
    ports: tuple[int | None, ...], defaults: tuple[int | None, ...]
) -> tuple[int | None, ...]:
    """Return the ports, with a single default in place of each that is None."""
    if not ports or len(defaults) != 1:
        return ports if any(ports) else defaults or ports
    return tuple(port or defaults[0] for port in ports)


def _place(host: str, port: int | None) -> str:
    if host.startswith("/"):
        return host if ".s.PGSQL." in host else f"{host}/.s.PGSQL.{port or DEFAULT_PORT}"
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"


def _plain(name: str | None) -> str:
    """Return a name that cannot break the message that it is part of."""
    text = name or ""
    return text if text.isprintable() and '"' not in text else quote(text, safe=" ")


def _this_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise ValueError("has no user, and this process's user has no name; name one") from None
