"""The least version of the server, and the encoding of the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg

from aliaport.errors import AliaportError

MIN_VERSION = 14
NEWEST_SETTING = "client_connection_check_interval"
"""The setting of our connections that only this version and later ones know."""

ENCODING = "UTF8"


class UnsupportedDatabaseError(AliaportError):
    """The server is too old, or the database cannot store every character."""


def check_database(connection: Any) -> None:
    """Raise UnsupportedDatabaseError unless the connection's server and database will do.

    It looks only at what the server said while connecting.
    """
    version = connection.get_server_version()
    if version.major < MIN_VERSION:
        raise _too_old(f"PostgreSQL {version.major}")
    encoding = getattr(connection.get_settings(), "server_encoding", ENCODING)
    if encoding != ENCODING:
        raise UnsupportedDatabaseError(
            f"the database has the encoding {encoding}, which cannot store every character; create "
            f"the database with encoding {ENCODING} (CREATE DATABASE … ENCODING '{ENCODING}' "
            "TEMPLATE template0), and restore the data into it"
        )


@contextmanager
def explaining() -> Iterator[None]:
    """Raise UnsupportedDatabaseError in place of an old server's refusal of our settings."""
    try:
        yield
    except asyncpg.UndefinedObjectError as error:
        if NEWEST_SETTING not in str(error):
            raise
        raise _too_old("the server") from None


def _too_old(server: str) -> UnsupportedDatabaseError:
    return UnsupportedDatabaseError(
        f"{server} is too old; upgrade it to PostgreSQL {MIN_VERSION} or later"
    )
