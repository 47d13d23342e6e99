"""Finds the address of a request's caller, behind proxies too."""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias

from multidict import CIMultiDict

from aliaport.addresses import MAX_LENGTH, parse_address

Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]

MAX_HOPS = 20
"""Addresses that are read from X-Forwarded-For, from its end: more proxies than anyone chains."""


def client_address(peer: str | None, headers: Mapping[str, str], trusted: Networks) -> str:
    """Return the last address that is not a trusted proxy: the `peer` or one in X-Forwarded-For.

    A hop that is not an address, such as `unknown`, hides the rest: the caller is then the proxy
    that reported it. IPv4 addresses that are mapped into IPv6 are returned as IPv4. Returns '' if
    there is no address.
    """
    if not peer or (not trusted and ":" not in peer):
        return peer or ""
    address = parse_address(peer)
    if address is None:
        return peer
    for hop in _hops(headers) if trusted else ():
        if not any(address in network for network in trusted):
            break
        behind = parse_address(_host(hop))
        if behind is None:
            break
        address = behind
    return str(address)


def _hops(headers: Mapping[str, str]) -> Iterator[str]:
    """Return the hops from the last one on.

    A proxy may add its own X-Forwarded-For line below the caller's, so all lines are read.
    """
    read = 0
    # aiohttp keeps the headers of a malformed request in a plain dict.
    for line in reversed(CIMultiDict(headers).getall("X-Forwarded-For", ())):
        for part in reversed(line.rsplit(",", MAX_HOPS)[-MAX_HOPS:]):
            if read == MAX_HOPS:
                return
            read += 1
            # A long part is not an address; it is not stripped, since it may be a megabyte.
            hop = part.strip() if len(part) <= MAX_LENGTH else part
            if hop:
                yield hop


def _host(hop: str) -> str:
    """Return `hop` without the port that some balancers add, which differs for each connection."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
