"""Whose request it is behind proxies."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TypeAlias

Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]


def address_behind(peer: str, forwarded_for: Iterable[str], trusted: Networks) -> str:
    """The last address that is no trusted proxy's: of the `peer`, or in X-Forwarded-For.

    `forwarded_for` are all lines of that header. A proxy may add a line of its own, and the first
    line comes from the caller, so it alone is not to be believed.
    """
    if not trusted:
        return peer
    address = peer
    chain = [part.strip() for line in forwarded_for for part in line.split(",")]
    for hop in reversed([part for part in chain if part]):
        try:
            known = ip_address(address)
        except ValueError:
            return address
        if not any(known in network for network in trusted):
            return address
        address = _host(hop[:64])
    return address


def _host(hop: str) -> str:
    """Some balancers add the port, which would make each connection another caller."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
