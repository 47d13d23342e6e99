"""The encoding that a database must have."""

from typing import Any

from aliaport.errors import AliaportError

ENCODING = "UTF8"


class UnsupportedDatabaseError(AliaportError):
    """The database cannot store every character."""


def check_encoding(connection: Any) -> None:
    """Raise UnsupportedDatabaseError unless the database can store every character.

    It looks only at what the server, or a pooler in front of it, reported while connecting.
    """
    encoding = getattr(connection.get_settings(), "server_encoding", ENCODING)
    if encoding != ENCODING:
        raise UnsupportedDatabaseError(
            f"the database has the encoding {encoding}, which cannot store every character; create "
            f"the database with encoding {ENCODING} (CREATE DATABASE … ENCODING '{ENCODING}' "
            "TEMPLATE template0), and move the data into it"
        )
