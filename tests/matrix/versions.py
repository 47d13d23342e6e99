"""The versions of PostgreSQL that the tests run on."""

import os
from collections.abc import Mapping
from pathlib import Path

from tests.support.postgres import embedded_tree

ROOT = Path(__file__).parents[2]
ALL = "ALIAPORT_MATRIX" in os.environ
"""True if all versions are run (`make matrix`), not only the embedded one."""

TREES: Mapping[str, Path] = {
    "16": embedded_tree(),
    **{
        version: ROOT / f"tests/matrix/servers/node_modules/postgresql-{version}/native"
        for version in ("13", "14", "15", "17", "18")
        if ALL
    },
}
"""Where each version is installed."""

CURRENT_CLIENTS = ROOT / ".current/root"
"""Debian's newest `pg_dump` and `pg_restore`, with the libraries that they need."""


def client(name: str, version: str) -> list[str]:
    """Return the start of a command: pg_dump refuses servers that are newer than itself."""
    if int(version) <= 16:
        return [str(embedded_tree() / "bin" / name)]
    libraries = CURRENT_CLIENTS / "usr/lib/x86_64-linux-gnu"
    return [
        str(libraries / "ld-linux-x86-64.so.2"),
        *("--library-path", str(libraries)),
        str(CURRENT_CLIENTS / "usr/lib/postgresql/18/bin" / name),
    ]
