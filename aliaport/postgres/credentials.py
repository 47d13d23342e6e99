"""Remembers for each plugin which URL of its database worked last."""

import threading
from contextlib import suppress
from weakref import WeakKeyDictionary

from aliaport.plugin import Context
from aliaport.settings.database_url import DatabaseUrl


class Credentials:
    """The URL that worked last, and the last one for which it was used instead."""

    def __init__(self) -> None:
        self.working: DatabaseUrl | None = None
        self.refused: DatabaseUrl | None = None


_known: "WeakKeyDictionary[Context, Credentials]" = WeakKeyDictionary()
_lock = threading.Lock()  # each plugin opens in its own thread


def credentials_of(context: Context) -> Credentials:
    """Return what all connections of this context share: never what another one used."""
    with _lock, suppress(TypeError):  # an author's own context need not be hashable
        return _known.setdefault(context, Credentials())
    return Credentials()
