"""Opens the listening sockets before anything else starts; says what to fix if it cannot."""

import errno
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from aliaport.addresses import is_loopback, parse_address
from aliaport.errors import OccupiedError, StartupError

BACKLOG = 1024

SEND_BUFFER_BYTES = 65_536
"""Half of what the kernel keeps for a client that does not read; by default it keeps up to 4 MB."""

_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""Errors of an address that this machine does not have, such as ::1 without IPv6."""

_Address = tuple[socket.AddressFamily, Any]
"""A family, and the address as `bind` accepts it."""


def open_sockets(host: str, port: int, setting: str) -> list[socket.socket]:
    """Return a listening socket for each address of `host`; `setting` configures the port.

    An address that this machine does not have is left out if it has another one of the same name.
    `::` also accepts IPv4. Raises StartupError with the fix.
    """
    return _bind(host, port, setting, listening=True)


def check_address(host: str, port: int, setting: str) -> None:
    """Raise the StartupError that `open_sockets` would raise; nothing can connect meanwhile."""
    for bound in _bind(host, port, setting, listening=False):
        bound.close()


def _bind(host: str, port: int, setting: str, *, listening: bool) -> list[socket.socket]:
    opened: list[socket.socket] = []
    absent: OSError | None = None
    try:
        addresses = _resolve(host, port)
        for family, address in addresses:
            # Port 0 means any free one, but the same one for all addresses.
            number = opened[0].getsockname()[1] if opened else port
            try:
                opened.append(
                    _open(
                        family,
                        (address[0], number, *address[2:]),
                        ipv6_only=len(addresses) > 1,
                        listening=listening,
                    )
                )
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                absent = error
        if absent is not None and not opened:
            raise absent
    except (OSError, UnicodeError) as error:
        for listener in opened:
            listener.close()
        problem, fix = _advice(error, port, setting)
        kind = OccupiedError if getattr(error, "errno", 0) == errno.EADDRINUSE else StartupError
        raise kind(f"cannot listen on {host} port {port}: {problem}; {fix}") from None
    return opened


def reject_shared_address(public: tuple[str, int], internal: tuple[str, int]) -> None:
    """Raise StartupError if the two hosts and ports have an address in common.

    The kernel refuses that only once one of them listens, and would blame another process.
    """
    (host, port), (other, other_port) = public, internal
    if not port or port != other_port:
        return
    try:
        claims, others = _claims(host, port), _claims(other, port)
    except (OSError, UnicodeError):  # whoever listens there reports it
        return
    if any(_overlap(claim, claimed) for claim in claims for claimed in others):
        raise StartupError(
            f"cannot listen on {other} port {port}: the public port has the "
            "same address; set ALIAPORT_INTERNAL_PORT to another port than ALIAPORT_PORT"
        )


def _claims(host: str, port: int) -> set[IPv4Address | IPv6Address | None]:
    claims = {parse_address(address[0]) for _, address in _resolve(host, port)}
    # Without another address beside it, `::` also accepts IPv4.
    return claims | {IPv4Address(0)} if claims == {IPv6Address(0)} else claims


def _overlap(
    one: IPv4Address | IPv6Address | None, other: IPv4Address | IPv6Address | None
) -> bool:
    if one is None or other is None:
        return False
    return one == other or (
        one.version == other.version and (one.is_unspecified or other.is_unspecified)
    )


def is_loopback_only(sockets: Sequence[socket.socket]) -> bool:
    """Return True if only programs on this machine can connect."""
    return all(is_loopback(opened.getsockname()[0]) for opened in sockets)


def _resolve(host: str, port: int) -> list[_Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _open(
    family: socket.AddressFamily, address: Any, *, ipv6_only: bool, listening: bool
) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        if family == socket.AF_INET6:
            # Independent of the machine's default, net.ipv6.bindv6only.
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, ipv6_only)
        opened.bind(address)
        # Two sockets can be bound to one address; only the first can listen.
        if listening:
            opened.listen(BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened


def _advice(error: OSError | UnicodeError, port: int, setting: str) -> tuple[str, str]:
    """Return what is wrong, and the fix."""
    host = f"{setting.removesuffix('PORT')}HOST"
    if isinstance(error, UnicodeError):
        return "not a valid host name", f"set {host} to an address or name of this machine"
    reason = error.strerror or str(error)
    if isinstance(error, socket.gaierror):
        return reason, f"set {host} to an address or a name that this machine can resolve"
    if error.errno == errno.EADDRINUSE:
        return reason, f"stop the process that listens there, or set {setting} to another port"
    if error.errno in (errno.EACCES, errno.EPERM):
        if port >= 1024:
            return reason, f"set {setting} to a port that this system permits"
        return reason, f"set {setting} to 1024 or higher, or grant CAP_NET_BIND_SERVICE"
    if error.errno in _ABSENT:
        return reason, f"set {host} to an address of this machine, or to 0.0.0.0 for all"
    return reason, f"check {host} and {setting}"
