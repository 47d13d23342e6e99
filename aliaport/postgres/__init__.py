"""What a plugin with a database imports: bounded connections and pools, leader, migrations.

Everything here belongs to the loop on which it is made: the plugin's own.
"""

from aliaport.postgres.connection import close, connect, server_settings
from aliaport.postgres.leader import Leader
from aliaport.postgres.migrations import Migration, MigrationError, migrate
from aliaport.postgres.pool import Pool

__all__ = [
    "Leader",
    "Migration",
    "MigrationError",
    "Pool",
    "close",
    "connect",
    "migrate",
    "server_settings",
]
