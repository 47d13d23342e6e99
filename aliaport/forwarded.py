"""Finds the address of a request's caller, behind proxies too."""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TypeAlias

from multidict import CIMultiDict

Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]


def client_address(peer: str | None, headers: Mapping[str, str], trusted: Networks) -> str:
    """Return the last address that is not a trusted proxy: the `peer` or one in X-Forwarded-For.

    A proxy may add its own X-Forwarded-For line below the caller's, so all lines are read, from the
    end. Returns '' if there is no address.
    """
    if not trusted or not peer:
        return peer or ""
    # aiohttp keeps the headers of a malformed request in a plain dict.
    lines = CIMultiDict(headers).getall("X-Forwarded-For", ())
    address = peer
    chain = [part.strip() for line in lines for part in line.split(",")]
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
    """Return `hop` without the port that some balancers add, which differs for each connection."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
