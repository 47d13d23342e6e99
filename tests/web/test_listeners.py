"""Listening sockets: all addresses of a name, and errors that name the setting to change."""

import errno
import os
import socket
from collections.abc import Callable
from contextlib import closing
from typing import Any, NoReturn

import pytest

from aliaport.errors import StartupError
from aliaport.web.listening import open_sockets

CannotRun = Callable[[str, str], NoReturn]


@pytest.mark.parametrize(
    ("number", "port", "fix"),
    [
        (errno.EADDRINUSE, 9, "set ALIAPORT_INTERNAL_PORT to another port"),
        (errno.EACCES, 9, "set ALIAPORT_INTERNAL_PORT to 1024 or higher"),
        (errno.EACCES, 8000, "set ALIAPORT_INTERNAL_PORT to a port that this system permits"),
        (errno.EADDRNOTAVAIL, 9, "set ALIAPORT_INTERNAL_HOST to an address of this machine"),
        (errno.EAFNOSUPPORT, 9, "set ALIAPORT_INTERNAL_HOST to an address of this machine"),
        (errno.ENOBUFS, 9, "check ALIAPORT_INTERNAL_HOST and ALIAPORT_INTERNAL_PORT"),
    ],
)
def test_the_error_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, number: int, port: int, fix: str
) -> None:
    def fail(_socket: socket.socket, _address: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket.socket, "bind", fail)
    reason = f"127.0.0.1 port {port}: {os.strerror(number)}; .*{fix}"
    with pytest.raises(StartupError, match=reason):
        open_sockets("127.0.0.1", port, "ALIAPORT_INTERNAL_PORT")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "[::1]", "a b", "ş" * 70])
def test_a_name_that_does_not_resolve_is_a_wrong_host(host: str) -> None:
    with pytest.raises(StartupError, match="; set ALIAPORT_HOST to an address or "):
        open_sockets(host, 9, "ALIAPORT_PORT")


def test_an_address_of_another_machine_is_a_wrong_host() -> None:
    # Reserved for documentation, so no machine has it.
    with pytest.raises(
        StartupError, match="assign requested address; set ALIAPORT_HOST to an addr"
    ):
        open_sockets("192.0.2.1", 0, "ALIAPORT_PORT")


def test_two_listeners_cannot_share_a_port() -> None:
    (first,) = open_sockets("127.0.0.1", 0, "ALIAPORT_PORT")
    with closing(first):
        port = first.getsockname()[1]
        for host in ("127.0.0.1", "0.0.0.0", "localhost"):
            with pytest.raises(StartupError, match="set ALIAPORT_INTERNAL_PORT to another port"):
                open_sockets(host, port, "ALIAPORT_INTERNAL_PORT")
        open_sockets("127.0.0.2", port, "ALIAPORT_INTERNAL_PORT")[0].close()


def connects(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=10).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Return a table of further names with their addresses, in the resolver of this process."""
    table: dict[str, list[str]] = {}
    resolve = socket.getaddrinfo

    def look_up(host: str, *arguments: Any, **options: Any) -> list[Any]:
        return [
            found
            for name in table.get(host, [host])
            for found in resolve(name, *arguments, **options)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return table


def test_a_name_listens_on_all_its_addresses(names: dict[str, list[str]]) -> None:
    names["pair"] = ["127.0.0.1", "127.0.0.2", "127.0.0.1"]
    opened = open_sockets("pair", 0, "ALIAPORT_PORT")
    assert len(opened) == 2
    port = opened[0].getsockname()[1]
    assert [connects(f"127.0.0.{last}", port) for last in (1, 2, 3)] == [True, True, False]
    for listener in opened:
        listener.close()
    # A name may have addresses that this machine does not, such as ::1 without IPv6.
    names["partly"] = ["192.0.2.1", "127.0.0.1"]
    (only,) = open_sockets("partly", 0, "ALIAPORT_PORT")
    with closing(only):
        assert connects("127.0.0.1", only.getsockname()[1])


def test_a_taken_address_closes_the_others(names: dict[str, list[str]]) -> None:
    (taken,) = open_sockets("127.0.0.2", 0, "ALIAPORT_PORT")
    with closing(taken):
        port = taken.getsockname()[1]
        names["pair"] = ["127.0.0.1", "127.0.0.2"]
        with pytest.raises(StartupError, match="listen on pair port"):
            open_sockets("pair", port, "ALIAPORT_PORT")
        assert not connects("127.0.0.1", port)


@pytest.mark.parametrize("addresses", [["::"], ["0.0.0.0", "::"], ["127.0.0.1", "::1"]])
def test_ipv6_and_ipv4_together(
    addresses: list[str], names: dict[str, list[str]], cannot_run: CannotRun
) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        cannot_run("IPv6", f"needs IPv6: {error.strerror}")
    names["both"] = addresses
    opened = open_sockets("both", 0, "ALIAPORT_PORT")
    assert len(opened) == len(addresses)
    port = opened[0].getsockname()[1]
    assert connects("127.0.0.1", port)
    assert connects("::1", port)
    for listener in opened:
        listener.close()
