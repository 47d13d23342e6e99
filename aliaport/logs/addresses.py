"""Which texts are IP addresses, as Elasticsearch takes them."""

import ipaddress
from functools import lru_cache


@lru_cache(1024)
def is_address(text: str) -> bool:
    """Whether `text` is an IPv4 or IPv6 address without a zone."""
    try:
        return "%" not in text and bool(ipaddress.ip_address(text))
    except ValueError:
        return False
