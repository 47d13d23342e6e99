"""TCP ports on loopback that nobody else takes before they are used."""

import random
import socket
from pathlib import Path

LOWEST = 10_000
BLOCK = 100
"""Ports that a process claims at once."""

_claims: list[socket.socket] = []
_left: list[int] = []


def free_port() -> int:
    """Return a port that nobody listens on and no other test process gets.

    It is below the range that the kernel uses for outgoing connections and for `bind` to port 0, so
    it stays free even while a server restarts.
    """
    while True:
        if not _left:
            _left.extend(_claimed_block())
        port = _left.pop()
        with socket.socket() as probe:
            # As servers do, since connections of an earlier server may linger.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def _claimed_block() -> range:
    """Claim a block of ports with an abstract socket, which the kernel releases with the process."""
    kernel = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
    beginnings = list(range(LOWEST, int(kernel.split()[0]) - BLOCK, BLOCK))
    if not beginnings:  # the kernel uses the whole range here: let it choose one
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        return range(port, port + 1)
    random.SystemRandom().shuffle(beginnings)
    for beginning in beginnings:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0aliaport-tests-ports-{beginning}")
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return range(beginning, beginning + BLOCK)
    raise RuntimeError("other test processes have claimed all ports")
