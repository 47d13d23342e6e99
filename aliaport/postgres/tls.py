"""Recognizes a database whose server is not verified before it receives the password."""

import os
from urllib.parse import parse_qs, unquote, urlsplit

from aliaport.addresses import is_loopback

VERIFIED = "verify-full"
HINT = (
    "add sslmode=verify-full and sslrootcert=<file with the CA certificate> to DATABASE_URL; the "
    "file of public CAs is often /etc/ssl/certs/ca-certificates.crt"
)


def unverified_server(url: str) -> str:
    """Return why the server of a database URL is not verified, without secrets; '' if it is.

    A socket and loopback addresses need no verification. As in asyncpg, PGHOST and PGSSLMODE apply
    to what the URL leaves out.
    """
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    mode = options.get("sslmode", [os.environ.get("PGSSLMODE") or "prefer"])[-1]
    named = unquote(parts.netloc.rpartition("@")[2])
    if not named:
        named = options.get("host", [os.environ.get("PGHOST", "")])[-1]
    hosts = [host for host in map(_name, named.split(",")) if host and not _is_here(host)]
    if mode == VERIFIED or not hosts:
        return ""
    return (
        f"the database server at {', '.join(hosts)} is not verified (sslmode={mode}): another "
        "machine in its place would receive the password"
    )


def _name(host: str) -> str:
    """Return a host without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.count(":") > 1 else host.partition(":")[0]


def _is_here(host: str) -> bool:
    return host.startswith("/") or is_loopback(host)
