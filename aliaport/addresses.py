"""Reads IP addresses. One of IPv4 that is mapped into IPv6 (`::ffff:127.0.0.1`) is that of IPv4."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

MAX_LENGTH = 64
"""Characters of the longest address, with a zone."""

_MAPPED = IPv6Network("::ffff:0:0/96")


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address, or None if `text` is not one."""
    if len(text) > MAX_LENGTH:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_loopback(host: str) -> bool:
    """Return True if an address or name is that of the machine that uses it."""
    address = parse_address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """Return the IPv4 network of one that is mapped into IPv6, and any other one as it is."""
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        first = int(network.network_address) & 0xFFFFFFFF
        return IPv4Network((first, network.prefixlen - 96))
    return network
