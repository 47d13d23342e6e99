"""Error responses that several handlers share."""

from datetime import datetime
from typing import Protocol

from aliaport.apps import Refusal, invalid_fields


class Versioned(Protocol):
    """A row with a version, and the author and time of that version."""

    version: int
    changed_by: str
    changed_at: datetime


def not_found(noun: str) -> Refusal:
    """Return the error for an ID that does not exist."""
    return Refusal(404, "not_found", f"there is no {noun} with this ID")


def version_conflict(noun: str, current: Versioned) -> Refusal:
    """Return the error for an edit that lost the race."""
    return Refusal(
        409,
        "version_conflict",
        f"{current.changed_by} changed this {noun} first; read it again and repeat your change",
        version=current.version,
        changed_by=current.changed_by,
        changed_at=current.changed_at.isoformat(),
    )


def invalid_field(path: str, message: str) -> Refusal:
    """Return the error for one field, such as `body.account_id`."""
    return invalid_fields([{"path": path, "message": message}])
