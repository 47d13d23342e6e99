"""An IPv4 address that is mapped into IPv6 is the same machine."""

from ipaddress import ip_network

import pytest

from aliaport.addresses import is_loopback, parse_address, unmapped


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("::FFFF:7f00:1", "127.0.0.1"),
        ("2001:DB8::7", "2001:db8::7"),
        ("::127.0.0.1", "::7f00:1"),
    ],
)
def test_addresses_are_read(text: str, address: str) -> None:
    assert str(parse_address(text)) == address


@pytest.mark.parametrize("text", ["", "localhost", "[::1]", "127.1", "127.0.0.1:80", "1" * 1_000])
def test_other_text_is_not_an_address(text: str) -> None:
    assert parse_address(text) is None


def test_mapped_networks_are_ipv4() -> None:
    assert unmapped(ip_network("::ffff:10.0.0.0/104")) == ip_network("10.0.0.0/8")
    assert unmapped(ip_network("::/0")) == ip_network("::/0")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_recognized(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example.org", "10.0.0.1", "::ffff:10.0.0.1", "::", ""])
def test_other_machines_are_recognized(host: str) -> None:
    assert not is_loopback(host)
