"""The service's database for the duration of a command."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from aliaport.embedded.server import EmbeddedPostgres, own_folder
from aliaport.settings import Settings


@contextmanager
def borrowed_database(settings: Settings) -> Iterator[SecretStr | None]:
    """Yield the configured database or, in development and test, this folder's embedded one.

    Starts the embedded server unless a service of this folder runs it. Raises StartupError.
    """
    if settings.database_url is not None or not settings.open:
        yield settings.database_url
        return
    server = EmbeddedPostgres(own_folder())
    try:
        yield SecretStr(server.start())
    finally:  # also after a start that failed half-way
        server.stop()
