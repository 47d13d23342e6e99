"""The needs of requests: the indexes, with the SQL that creates them, and a read of each table."""

from aliaport.postgres import Index

_DEFINITIONS = {
    "users": {
        "pkey": "PRIMARY KEY (id)",
        "name": "UNIQUE (name)",
    },
    "sessions": {
        "pkey": "PRIMARY KEY (token_hash)",
        "user": "(user_id) WHERE ended_at IS NULL",
        "last_used": "(last_used_at, user_id)",
    },
    "sign_in_failures": {
        "pkey": "PRIMARY KEY (key)",
    },
    "accounts": {
        "pkey": "PRIMARY KEY (id)",
        "code": "UNIQUE (code)",
        "title": "(title_key, id)",
        "words": "USING gin (words) WITH (fastupdate = off)",
        "tax_number": "(tax_number) WHERE tax_number IS NOT NULL",
        "deactivated": "(deactivated_at) WHERE deactivated_at IS NOT NULL",
    },
    "transitions": {
        "pkey": "PRIMARY KEY (from_status, to_status)",
    },
    "work_orders": {
        "pkey": "PRIMARY KEY (id)",
        "account": "(account_id, id)",
        "status": "(status, id)",
    },
    "work_order_changes": {
        "pkey": "PRIMARY KEY (work_order_id, version)",
    },
    "gate_logs": {
        "pkey": "PRIMARY KEY (id)",
        "corrects": "UNIQUE (corrects)",
        "passed": "(passed_at, id)",
        "plate": "(plate, passed_at, id) WHERE plate IS NOT NULL",
        "work_order": "(work_order_id) WHERE work_order_id IS NOT NULL",
        "personal": "(created_at) WHERE purged_at IS NULL",
    },
    "idempotency_keys": {
        "pkey": "PRIMARY KEY (user_id, key)",
        "created": "(created_at)",
    },
}

INDEXES = [
    Index(f"aliaport_operations_{table}_{name}", f"aliaport_operations_{table}", definition)
    for table, definitions in _DEFINITIONS.items()
    for name, definition in definitions.items()
]

READ_TABLES = """
SELECT
    (SELECT count(*) FROM aliaport_operations_users WHERE ctid = '(0,1)'),
    (SELECT count(*) FROM aliaport_operations_sessions WHERE ctid = '(0,1)'),
    (SELECT count(*) FROM aliaport_operations_sign_in_failures WHERE ctid = '(0,1)'),
    (SELECT count(*) FROM aliaport_operations_accounts WHERE ctid = '(0,1)'),
    (SELECT count(*) FROM aliaport_operations_transitions WHERE ctid = '(0,1)'),
    (SELECT count(*) FROM aliaport_operations_work_orders WHERE ctid = '(0,1)'),
    (SELECT count(*) FROM aliaport_operations_work_order_changes WHERE ctid = '(0,1)'),
    (SELECT count(*) FROM aliaport_operations_gate_logs WHERE ctid = '(0,1)'),
    (SELECT count(*) FROM aliaport_operations_idempotency_keys WHERE ctid = '(0,1)')"""
"""Reads one page of each table, whatever is in it: as a request that finds its row by an index."""
