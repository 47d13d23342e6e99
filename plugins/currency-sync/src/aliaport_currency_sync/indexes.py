"""The indexes that requests need, and the SQL that creates each one again."""

from aliaport.postgres import Index

_DEFINITIONS = {
    "bulletins": {
        "pkey": "PRIMARY KEY (day, revision)",
    },
    "rates": {
        "pkey": "PRIMARY KEY (day, code, revision)",
    },
    "gaps": {
        "pkey": "PRIMARY KEY (day)",
    },
    "begin": {
        "pkey": "PRIMARY KEY (only_row)",
    },
}

INDEXES = [
    Index(f"aliaport_currency_{table}_{name}", f"aliaport_currency_{table}", definition)
    for table, definitions in _DEFINITIONS.items()
    for name, definition in definitions.items()
]
