"""The syntax of a database URL. No error shows a part that may belong to a password."""

import ipaddress
import re
from urllib.parse import unquote

SCHEMES = ("postgresql", "postgres")
_FORM = "use the form postgresql://user:password@host:5432/name"
_RESERVED = re.compile(r"[\[\]\"'\\`]")
_HALF_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SHOWN_SCHEME = re.compile(r"[a-z][a-z0-9+.:-]{0,28}")
_HOST_NAME = re.compile(r"[\w.-]+")


def without_scheme(text: str) -> str:
    """Return what follows `postgresql://`. Raises ValueError."""
    if not text:
        raise ValueError(f"is empty; {_FORM}")
    if text[0] in "'\"":
        raise ValueError("begins with a quotation mark; remove the quotation marks")
    scheme, found, rest = text.partition("://")
    if not found or not _SHOWN_SCHEME.fullmatch(scheme):
        raise ValueError(f"does not start with postgresql://; {_FORM}")
    if scheme not in SCHEMES:
        raise ValueError(f"starts with {scheme!r}; {_FORM}")
    return rest


def split_url(rest: str) -> tuple[str, str, str, str]:
    """Return user and password, hosts, path and query, all still encoded. Raises ValueError.

    What libpq, asyncpg and other programs would read differently is refused.
    """
    if any(character.isspace() for character in rest):
        raise ValueError("has a blank or a line break inside; write a blank as %20")
    if not rest.isprintable():
        raise ValueError("has an invisible character inside; remove it, or percent-encode it")
    if "#" in rest:
        raise ValueError("has a raw #; write # as %23")
    if _HALF_ESCAPE.search(rest):
        raise ValueError("has a % without two hexadecimal digits after it; write % as %25")
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    tail = rest[len(authority) :]
    if "@" in tail:
        raise ValueError(
            "has an @ after a / or a ?; write / as %2F, ? as %3F and @ as %40 in the user name, in "
            "the password and in options"
        )
    userinfo, _, hostspec = authority.rpartition("@")
    if "@" in userinfo:
        raise ValueError("has more than one @; write @ as %40 in the user name and the password")
    if found := _RESERVED.search(userinfo):
        raise ValueError(
            f"has a raw {found[0]} in the user name or the password; write {found[0]} as "
            f"%{ord(found[0]):02X}"
        )
    path, _, query = tail.partition("?")
    return userinfo, hostspec, path.removeprefix("/"), query


def split_query(query: str) -> dict[str, str]:
    """Return the options after the `?`, decoded, without empty ones. Raises ValueError."""
    pairs: dict[str, str] = {}
    for part in query.split("&") if query else ():
        key, assigned, value = part.partition("=")
        if not assigned:
            raise ValueError("has an option without '='; write & as %26 in values")
        for raw, code in (("=", "%3D"), ("+", "%2B, or a blank as %20")):
            if raw in value:
                raise ValueError(
                    f"has a raw {raw} in the value of an option; write {raw} as {code}"
                )
        key, value = decoded(key), decoded(value)
        if key in pairs:
            raise ValueError("has an option twice; write it only once")
        if (key, value) == ("ssl", "true"):  # as libpq reads it, for JDBC's sake
            key, value = "sslmode", "require"
        if value or key == "sslmode":
            pairs[key] = value
    return pairs


def split_hosts(hostspec: str) -> tuple[tuple[str, ...], tuple[int | None, ...]]:
    """Return the hosts and ports between the @ and the path. Raises ValueError."""
    if not hostspec:
        return (), ()
    if re.fullmatch(r":[0-9]+", hostspec):
        return (), (check_port(hostspec[1:]),)
    hosts: list[str] = []
    ports: list[int | None] = []
    for part in hostspec.split(","):
        if part.startswith("["):
            host, found, port = part.partition("]")
            if not found or not (port == "" or port.startswith(":")):
                raise ValueError("has a [ without a ] around the IPv6 address of a host")
            host, port = host + "]", port[1:]
        else:
            host, _, port = part.partition(":")
        hosts.append(check_host(decoded(host)))
        ports.append(check_port(decoded(port)) if port else None)
    return tuple(hosts), tuple(ports)


def check_host(host: str) -> str:
    """Return a host without brackets. Raises ValueError unless it is a name, address or folder."""
    if not host:
        raise ValueError("has an empty host in its list of hosts")
    if host.startswith("/") and host.isprintable():
        return host
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        if _HOST_NAME.fullmatch(host) and _is_resolvable(host):
            return host
    else:
        return bare
    raise ValueError(
        "has a wrong host; write a name or an address, an IPv6 address in [ ], the folder of a "
        "socket as ?host=/folder, and a port after a colon"
    )


def _is_resolvable(name: str) -> bool:
    """Return True unless a part of the name is empty or longer than 63 characters."""
    try:
        return bool(name.removesuffix(".").encode("idna"))
    except UnicodeError:
        return False


def check_port(text: str) -> int:
    """Return the number of a port. Raises ValueError."""
    if re.fullmatch(r"[0-9]{1,5}", text) and 0 < int(text) < 65536:
        return int(text)
    raise ValueError(
        "has a wrong port: it must be a number from 1 to 65535; write special characters of the "
        "password as %XX, such as / as %2F, and an IPv6 address in [ ]"
    )


def decoded(text: str) -> str:
    """Return percent-decoded text. Raises ValueError unless it is UTF-8 without NUL."""
    try:
        plain = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("has percent-encoded bytes that are not UTF-8") from None
    if "\0" in plain:
        raise ValueError("has a %00, which PostgreSQL does not allow")
    return plain
