"""The answer to who was slower."""

from datetime import datetime
from typing import Protocol

from aliaport.apps import Refusal


class Versioned(Protocol):
    """What knows its version and who made it."""

    version: int
    changed_by: str
    changed_at: datetime


def version_conflict(what: str, now: Versioned) -> Refusal:
    """Somebody has changed it since the caller's version."""
    changed_at = now.changed_at.isoformat()
    return Refusal(
        409,
        "version_conflict",
        f"{now.changed_by} has changed this {what}; read it again and repeat your change",
        version=now.version,
        changed_by=now.changed_by,
        changed_at=changed_at,
    )
