"""What a plugin with a database imports: bounded connections and pools, leader, migrations.

Everything here belongs to the loop on which it is made: the plugin's own.
"""

from aliaport.postgres.connection import FAULTS, Connection, close, connect, server_settings
from aliaport.postgres.leader import Leader
from aliaport.postgres.link import Link, QueryTimeout
from aliaport.postgres.migrations import Migration, MigrationError, migrate
from aliaport.postgres.pool import Pool

__all__ = [
    "FAULTS",
    "Connection",
    "Leader",
    "Link",
    "Migration",
    "MigrationError",
    "Pool",
    "QueryTimeout",
    "close",
    "connect",
    "migrate",
    "server_settings",
]
