"""Keyset pagination: a cursor names the last row of a page, so new rows do not shift pages."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import asyncpg
from pydantic import Field, StringConstraints

from aliaport_operations.responses import invalid_field
from aliaport_operations.text import CURSOR, DIGITS

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
"""Rows per page."""

Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Rows per page."), DIGITS]
After = Annotated[
    str,
    StringConstraints(pattern=CURSOR),
    Field(
        description="`next` of the previous page; omit it for the first page.",
        json_schema_extra={"format": "cursor"},
    ),
]


def split_page(
    rows: list[asyncpg.Record],
    limit: int,
    order: str,
    key: Callable[[asyncpg.Record], Sequence[Any]],
) -> tuple[list[asyncpg.Record], str | None]:
    """Return the page of `limit` rows, and the cursor of the next if there is a row beyond it."""
    page = rows[:limit]
    return page, _write_cursor(order, key(page[-1])) if len(rows) > limit else None


def _write_cursor(order: str, key: Sequence[Any]) -> str:
    text = json.dumps([order, *key], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str, order: str, kinds: Sequence[type]) -> tuple[Any, ...]:
    """Return the key in a cursor of this order. Raises Refusal (422)."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if (
            isinstance(found, list)
            and found[:1] == [order]
            and [type(value) for value in found[1:]] == list(kinds)
            and all("\0" not in value for value in found if isinstance(value, str))
            and all(abs(value) < 2**63 for value in found if isinstance(value, int))
        ):
            found[1:] = [
                value.encode().decode() if isinstance(value, str) else value for value in found[1:]
            ]
            return tuple(found[1:])
    except (binascii.Error, ValueError, RecursionError):
        pass
    raise invalid_field(
        "query.after", "must be `next` of the previous page, unchanged and with the same `sort`"
    )


class Conditions:
    """The WHERE clause of a list, with its arguments numbered."""

    def __init__(self) -> None:
        self.arguments: list[Any] = []
        self._parts: list[str] = []

    def add(self, condition: str, *arguments: Any) -> None:
        """Add a condition; each `{}` becomes the placeholder of the next argument."""
        names = []
        for argument in arguments:
            self.arguments.append(argument)
            names.append(f"${len(self.arguments)}")
        self._parts.append(condition.format(*names))

    def equals(self, column: str, value: Any) -> None:
        """Require that `column` equals `value`, unless `value` is None."""
        if value is not None:
            self.add(f"{column} = {{}}", value)

    def is_null(self, column: str, *, null: bool) -> None:
        """Require that `column` is NULL, or that it is not."""
        self.add(f"{column} IS {'NULL' if null else 'NOT NULL'}")

    @property
    def where(self) -> str:
        """The clause; empty if there is no condition."""
        return f"WHERE {' AND '.join(self._parts)}" if self._parts else ""
