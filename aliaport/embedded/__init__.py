"""The embedded PostgreSQL of development: a real server beside the service, stopped with it."""

from aliaport.embedded.borrowing import borrowed_database
from aliaport.embedded.server import EmbeddedPostgres, default_folder

__all__ = ["EmbeddedPostgres", "borrowed_database", "default_folder"]
