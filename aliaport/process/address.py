"""The addresses of a running service, which its health check finds without any configuration."""

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

NAME = "aliaport-address"

MAX_LENGTH = 100_000
"""Characters that are read of what another process has published."""

Address = tuple[str, int]


def publish(addresses: Sequence[Address]) -> None:
    """Keep the addresses in memory of this process, under a name that `find` knows.

    A file would need a folder that is writable, and that the health check finds.
    """
    with contextlib.suppress(OSError):  # a sandbox without memfd_create
        os.write(os.memfd_create(NAME), json.dumps(addresses).encode())


def find(*, everyone: bool = False) -> set[tuple[Address, ...]]:
    """Return what each running service of this user and of this network has published.

    With `everyone`, services of other users are included, if this user may look at them.
    """
    found = set()
    for process in _processes(everyone):
        for descriptor in _entries(process / "fd"):
            with contextlib.suppress(OSError, ValueError, TypeError):  # not in our format
                if str(descriptor.readlink()).startswith(f"/memfd:{NAME} "):
                    with descriptor.open(encoding="utf-8") as published:
                        addresses = json.loads(published.read(MAX_LENGTH))
                    found.add(tuple((host, port) for host, port in addresses))
    return found


def _processes(everyone: bool) -> Iterator[Path]:
    for process in _entries(Path("/proc")):
        with contextlib.suppress(OSError):
            if (
                process.name.isdecimal()
                and (everyone or process.stat().st_uid == os.geteuid())
                and (process / "ns/net").readlink() == Path("/proc/self/ns/net").readlink()
            ):
                yield process


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
