"""Keyset pagination: a cursor says after which row to go on, so that no page shifts."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from aliaport_operations.reading import wrong_field
from aliaport_operations.text import CURSOR, DIGITS

DEFAULT_LIMIT = 50
MOST = 200
"""Rows of one page."""

Limit = Annotated[int, Field(ge=1, le=MOST), DIGITS]
After = Annotated[
    str,
    StringConstraints(pattern=CURSOR),
    Field(description="`next` of the page before.", json_schema_extra={"format": "cursor"}),
]


def write_cursor(order: str, key: Sequence[Any]) -> str:
    """The cursor after the row with this key in this order."""
    text = json.dumps([order, *key], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str, order: str, kinds: Sequence[type]) -> tuple[Any, ...]:
    """The key in a cursor of this order. Raises Refusal (422)."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if (
            isinstance(found, list)
            and found[:1] == [order]
            and [type(each) for each in found[1:]] == list(kinds)
            and all("\0" not in each for each in found if isinstance(each, str))
            and all(abs(each) < 2**63 for each in found if isinstance(each, int))
        ):
            found[1:] = [
                each.encode().decode() if isinstance(each, str) else each for each in found[1:]
            ]
            return tuple(found[1:])
    except (binascii.Error, ValueError, RecursionError):
        pass
    raise wrong_field(
        "query.after", "send `next` of the page before as it came, with the same sort"
    )


class Conditions:
    """The WHERE clause of a list, with its arguments numbered."""

    def __init__(self) -> None:
        self.arguments: list[Any] = []
        self._parts: list[str] = []

    def add(self, condition: str, *arguments: Any) -> None:
        """Add a condition; `{}` stands for each of its arguments in turn."""
        names = []
        for argument in arguments:
            self.arguments.append(argument)
            names.append(f"${len(self.arguments)}")
        self._parts.append(condition.format(*names))

    @property
    def where(self) -> str:
        """The clause, empty where there is no condition."""
        return f"WHERE {' AND '.join(self._parts)}" if self._parts else ""
