"""The embedded PostgreSQL of development: a real server beside the service, stopped with it."""

from aliaport.embedded.server import EmbeddedPostgres, default_folder

__all__ = ["EmbeddedPostgres", "default_folder"]
