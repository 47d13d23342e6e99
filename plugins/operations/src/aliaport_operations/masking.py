"""What viewers see of personal data."""

from aliaport_operations.roles import Role
from aliaport_operations.sessions import Caller


def sees_personal_data(caller: Caller) -> bool:
    """Whether plates, drivers, contacts and tax numbers are shown."""
    return caller.role.covers(Role.CLERK)


def masked(text: str | None, *, first: int = 0, last: int = 0) -> str | None:
    """`text` with only so many characters left at its ends, and its length hidden."""
    if text is None:
        return None
    if len(text) <= first + last:
        return "***"
    return f"{text[:first]}***{text[-last:] if last else ''}"
