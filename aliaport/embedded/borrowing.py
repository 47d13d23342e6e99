"""The service's database for a command that needs it for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from aliaport.embedded.server import EmbeddedPostgres, default_folder
from aliaport.settings import Settings


@contextmanager
def borrowed_database(settings: Settings) -> Iterator[SecretStr | None]:
    """The configured database or, in development and test, the embedded one of this folder.

    The embedded server is started where no service of the folder runs it. Raises StartupError.
    """
    if settings.database_url is not None or not settings.open:
        yield settings.database_url
        return
    server = EmbeddedPostgres(default_folder(Path.cwd()))
    url = server.start()
    try:
        yield SecretStr(url)
    finally:
        server.stop()
