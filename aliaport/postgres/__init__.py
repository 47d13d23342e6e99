"""Tools for plugins with a database: bounded connections and pools, leader, migrations.

Use each object only on the loop where it is created: the plugin's own.
"""

from typing import TYPE_CHECKING

from aliaport.deprecation import renamed
from aliaport.postgres.connection import FAULTS, Connection, close, connect, server_settings
from aliaport.postgres.faults import FAULT_CODES, Fault, QueryTimeout, explain, note_fault
from aliaport.postgres.leader import Leader
from aliaport.postgres.migrations import Migration, MigrationError, migrate
from aliaport.postgres.pool import Pool
from aliaport.postgres.reconnecting import ReconnectingConnection

__all__ = [
    "FAULTS",
    "FAULT_CODES",
    "Connection",
    "Fault",
    "Leader",
    "Migration",
    "MigrationError",
    "Pool",
    "QueryTimeout",
    "ReconnectingConnection",
    "close",
    "connect",
    "explain",
    "migrate",
    "note_fault",
    "server_settings",
]

if not TYPE_CHECKING:  # type checkers see the new name only
    __getattr__ = renamed(__name__, {"Link": ("ReconnectingConnection", ReconnectingConnection)})
