"""The embedded PostgreSQL for development: a real server that starts and stops with the service."""

from aliaport.embedded.background import STOP_TIMEOUT, BackgroundPostgres
from aliaport.embedded.borrowing import borrowed_database
from aliaport.embedded.server import EmbeddedPostgres, check_embedded, default_folder, own_folder

__all__ = [
    "STOP_TIMEOUT",
    "BackgroundPostgres",
    "EmbeddedPostgres",
    "borrowed_database",
    "check_embedded",
    "default_folder",
    "own_folder",
]
