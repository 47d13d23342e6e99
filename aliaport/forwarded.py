"""Finds the address of a request's caller, behind proxies too."""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

from multidict import CIMultiDict

Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]

MAX_HOPS = 20
"""Addresses that are read from X-Forwarded-For, from its end: more proxies than anyone chains."""

_MAX_HOP = 64
"""Characters of the longest address with brackets and port."""

_MAPPED = IPv6Network("::ffff:0:0/96")


def client_address(peer: str | None, headers: Mapping[str, str], trusted: Networks) -> str:
    """Return the last address that is not a trusted proxy: the `peer` or one in X-Forwarded-For.

    A hop that is not an address, such as `unknown`, hides the rest: the caller is then the proxy
    that reported it. IPv4 addresses that are mapped into IPv6 are returned as IPv4. Returns '' if
    there is no address.
    """
    if not peer or (not trusted and ":" not in peer):
        return peer or ""
    address = _parse(peer)
    if address is None:
        return peer
    for hop in _hops(headers) if trusted else ():
        if not any(address in network for network in trusted):
            break
        behind = _parse(_host(hop))
        if behind is None:
            break
        address = behind
    return str(address)


def unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """Return the IPv4 network of one that is mapped into IPv6, and any other one as it is."""
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        first = int(network.network_address) & 0xFFFFFFFF
        return IPv4Network((first, network.prefixlen - 96))
    return network


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
            hop = part.strip() if len(part) <= _MAX_HOP else part
            if hop:
                yield hop


def _host(hop: str) -> str:
    """Return `hop` without the port that some balancers add, which differs for each connection."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    if len(text) > _MAX_HOP:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
