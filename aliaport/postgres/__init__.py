"""Tools for plugins with a database: bounded connections and pools, leader, migrations.

Use each object only on the loop where it is created: the plugin's own.
"""

from typing import TYPE_CHECKING

from aliaport.deprecation import renamed
from aliaport.postgres.connection import Connection, close, connect
from aliaport.postgres.encoding import UnsupportedDatabaseError
from aliaport.postgres.faults import (
    FAULT_CODES,
    FAULTS,
    ConnectPending,
    ConnectTimeout,
    Fault,
    PoolTimeout,
    QueryTimeout,
    explain,
    note_fault,
)
from aliaport.postgres.indexes import Index, IndexFault, check_indexes
from aliaport.postgres.leader import Leader
from aliaport.postgres.migrations import Migration, MigrationError, migrate
from aliaport.postgres.pool import Pool
from aliaport.postgres.poolers import PoolerError
from aliaport.postgres.reconnecting import ReconnectingConnection
from aliaport.postgres.session_settings import server_settings

__all__ = [
    "FAULTS",
    "FAULT_CODES",
    "ConnectPending",
    "ConnectTimeout",
    "Connection",
    "Fault",
    "Index",
    "IndexFault",
    "Leader",
    "Migration",
    "MigrationError",
    "Pool",
    "PoolTimeout",
    "PoolerError",
    "QueryTimeout",
    "ReconnectingConnection",
    "UnsupportedDatabaseError",
    "check_indexes",
    "close",
    "connect",
    "explain",
    "migrate",
    "note_fault",
    "server_settings",
]

if not TYPE_CHECKING:  # type checkers see the new name only
    __getattr__ = renamed(__name__, {"Link": ("ReconnectingConnection", ReconnectingConnection)})
