"""A listener that cannot be opened is reported with the setting to change."""

import errno
import os
import socket

import pytest

from aliaport.errors import StartupError
from aliaport.web.server import open_socket


@pytest.mark.parametrize(
    ("number", "fix"),
    [
        (errno.EADDRINUSE, "set ALIAPORT_INTERNAL_PORT to another port"),
        (errno.EACCES, "set ALIAPORT_INTERNAL_PORT to 1024 or higher"),
        (errno.EADDRNOTAVAIL, "set ALIAPORT_INTERNAL_HOST to an address of this machine"),
    ],
)
def test_the_error_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, number: int, fix: str
) -> None:
    def fail(_socket: socket.socket, _address: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket.socket, "bind", fail)
    with pytest.raises(StartupError, match=f"127.0.0.1 port 9: {os.strerror(number)}; .*{fix}"):
        open_socket("127.0.0.1", 9, "ALIAPORT_INTERNAL_PORT")


def test_a_host_that_does_not_resolve_is_a_wrong_host() -> None:
    with pytest.raises(StartupError, match="set ALIAPORT_HOST to an address of this machine"):
        open_socket("no-such-host.invalid", 9, "ALIAPORT_PORT")
