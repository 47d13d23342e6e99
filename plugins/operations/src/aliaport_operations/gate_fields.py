"""The fields of gate logs, in requests and in responses."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from aliaport_operations.folding import fold
from aliaport_operations.paging import DEFAULT_LIMIT, After, Limit
from aliaport_operations.parsing import Fields
from aliaport_operations.text import Id, Moment, PersonName

_SEPARATORS = re.compile(r"[\s.\-_/]+")
_PLATE = re.compile(r"[A-Z0-9]{2,15}", re.ASCII)


class Direction(StrEnum):
    """Direction of a passage through the gate."""

    IN = "in"
    OUT = "out"


def normalize_plate(text: str) -> str:
    """Return a plate in its stored form, 34ABC123 for `34 abc-123`. Raises ValueError."""
    plate = fold(_SEPARATORS.sub("", text)).upper()
    if not _PLATE.fullmatch(plate):
        raise ValueError("must be 2 to 15 letters and digits, such as 34 ABC 123")
    return plate


Plate = Annotated[
    str,
    StringConstraints(min_length=2, max_length=30),
    AfterValidator(normalize_plate),
    Field(
        description="Spaces, hyphens, dots and case do not matter; stored as 34ABC123.",
        examples=["34 ABC 123"],
        json_schema_extra={"format": "plate"},
    ),
]


EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Bounds of `passed_at`; the latter is exclusive."""


def _clamped(moment: datetime) -> datetime:
    return min(max(moment, EARLIEST), LATEST)


ClampedMoment = Annotated[Moment, AfterValidator(_clamped)]


class NewGateLog(Fields):
    """A passage through the gate, or the correction of an earlier gate log."""

    direction: Direction
    plate: Plate
    driver: PersonName | None = None
    passed_at: Moment | None = Field(
        default=None, description="Now if omitted; must not be in the future."
    )
    work_order_id: Id | None = None
    corrects: Id | None = Field(
        default=None,
        description="ID of the wrong gate log that this one corrects. Each can be corrected once.",
    )


class GateLogsQuery(Fields):
    """Filters and page of the list of gate logs."""

    direction: Direction | None = None
    plate: Plate | None = Field(
        default=None, description="The whole plate, in any spelling. Viewers get 403."
    )
    work_order_id: Id | None = None
    since: ClampedMoment | None = Field(default=None, description="Passed at this time or later.")
    until: ClampedMoment | None = Field(default=None, description="Passed before this time.")
    corrected: Literal["true", "false"] | None = Field(
        default=None,
        description="`true`: only gate logs that were corrected later; `false`: only the others.",
    )
    limit: Limit = DEFAULT_LIMIT
    after: After | None = None


class GateLog(BaseModel):
    """A gate log. Plate and driver are masked for viewers, and null once they are removed."""

    id: int
    direction: Direction
    plate: str | None
    driver: str | None
    passed_at: datetime
    work_order_id: int | None
    corrects: int | None = Field(description="ID of the gate log that this one corrects.")
    corrected_by: int | None = Field(description="ID of the gate log that corrects this one.")
    created_by: str
    created_at: datetime


class GateLogPage(BaseModel):
    """One page of gate logs; `next` is null on the last page."""

    items: list[GateLog]
    next: str | None
