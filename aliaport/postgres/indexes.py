"""Checks that the indexes of a component exist and are usable."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

MAX_NAMED = 3
"""Broken indexes that are reported at once; the first one with its remedy."""

_BROKEN = """
SELECT wanted.name, found.indexrelid IS NOT NULL AS exists,
       EXISTS (SELECT FROM pg_stat_progress_create_index
               WHERE index_relid = found.indexrelid) AS being_built
FROM unnest($1::text[]) WITH ORDINALITY AS wanted(name, number)
LEFT JOIN pg_index found ON found.indexrelid = to_regclass(wanted.name)
WHERE found.indexrelid IS NULL OR NOT found.indisvalid OR NOT found.indisready
ORDER BY wanted.number"""

Fetch = Callable[..., Awaitable[Sequence[Any]]]
"""The method `fetch` of a connection."""


@dataclass(frozen=True, slots=True)
class Index:
    """An index, or the constraint that needs one: what follows the table's name in its command."""

    name: str
    table: str
    definition: str

    @property
    def command(self) -> str:
        """The SQL that creates it; an index is created without a lock on its table."""
        if self.definition.startswith(("PRIMARY KEY", "UNIQUE")):
            return f"ALTER TABLE {self.table} ADD CONSTRAINT {self.name} {self.definition}"
        return f"CREATE INDEX CONCURRENTLY {self.name} ON {self.table} {self.definition}"


@dataclass(frozen=True, slots=True)
class IndexFault:
    """A fault of indexes: `index_missing` or `index_invalid`, and one line with the SQL."""

    code: str
    text: str


async def check_indexes(fetch: Fetch, indexes: Sequence[Index]) -> IndexFault | None:
    """Return what is wrong with the indexes, or None. Reads the catalog only. Raises as `fetch`."""
    rows = await fetch(_BROKEN, [index.name for index in indexes])
    if not rows:
        return None
    first = next(index for index in indexes if index.name == rows[0]["name"])
    if not rows[0]["exists"]:
        code, what, remedy = "index_missing", "does not exist", first.command
    else:
        code, what = "index_invalid", "is not valid, so it is not used"
        remedy = f"REINDEX INDEX CONCURRENTLY {first.name}"
    if rows[0]["being_built"]:
        remedy = "it is being built: wait"
    others = [row["name"] for row in rows[1:MAX_NAMED]]
    more = f" (and {', '.join(others)}: {len(rows)} in all)" if others else ""
    return IndexFault(code, f"the index {first.name} {what}: {remedy}{more}")
