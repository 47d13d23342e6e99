"""Remembers which user and password of a database worked last, while new ones are introduced."""

from typing import TypeAlias

import asyncpg

from aliaport.settings.database_url import DatabaseUrl

REFUSED = (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)
"""Errors of a server that does not accept a user or a password."""

MAX_KNOWN = 32

_Place: TypeAlias = tuple[tuple[str, ...], str | None]

_working: dict[_Place, DatabaseUrl] = {}
_refused: dict[_Place, DatabaseUrl] = {}


def confirm(url: DatabaseUrl) -> None:
    """Note that the server accepts this URL."""
    place = _place(url)
    _working[place] = url
    _refused.pop(place, None)
    while len(_working) > MAX_KNOWN:
        oldest = next(iter(_working))
        _working.pop(oldest, None)
        _refused.pop(oldest, None)


def former(url: DatabaseUrl) -> DatabaseUrl | None:
    """Return the last URL that worked for the same database, if it is another one."""
    found = _working.get(_place(url))
    return None if found == url else found


def is_first_refusal(url: DatabaseUrl) -> bool:
    """Return whether this is the first refusal of a URL since one worked."""
    place = _place(url)
    first = _refused.get(place) != url
    _refused[place] = url
    return first


def _place(url: DatabaseUrl) -> _Place:
    return url.places, url.database
