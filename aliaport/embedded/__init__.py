"""The embedded PostgreSQL for development: a real server that starts and stops with the service."""

from aliaport.embedded.borrowing import borrowed_database
from aliaport.embedded.server import EmbeddedPostgres, check_embedded, default_folder, own_folder

__all__ = [
    "EmbeddedPostgres",
    "borrowed_database",
    "check_embedded",
    "default_folder",
    "own_folder",
]
