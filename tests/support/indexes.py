"""Compares the indexes that a plugin lists with those that its migrations create."""

from collections.abc import Sequence

import asyncpg

from aliaport.postgres import Index

_DEFINITIONS = """
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition,
       (SELECT conname FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u')) AS made_by
FROM pg_index WHERE starts_with(indrelid::regclass::text, $1)"""


async def check_listed_indexes(url: str, indexes: Sequence[Index], prefix: str) -> None:
    """Check that the list is complete, and that each command creates the same index again."""
    connection = await asyncpg.connect(url)
    try:
        before = {
            row["name"]: row["definition"] for row in await connection.fetch(_DEFINITIONS, prefix)
        }
        made_by = {
            row["name"]: row["made_by"] for row in await connection.fetch(_DEFINITIONS, prefix)
        }
        assert sorted(before) == sorted(index.name for index in indexes)
        for index in indexes:
            drop = f"ALTER TABLE {index.table} DROP CONSTRAINT {index.name} CASCADE"
            await connection.execute(drop if made_by[index.name] else f"DROP INDEX {index.name}")
            await connection.execute(index.command)
        after = {
            row["name"]: row["definition"] for row in await connection.fetch(_DEFINITIONS, prefix)
        }
        assert after == before
    finally:
        await connection.close()
