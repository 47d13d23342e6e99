"""What users may do: each role may do what the one before it may."""

from enum import StrEnum


class Role(StrEnum):
    """A user's role."""

    VIEWER = "viewer"
    """Reads, personal data masked."""

    CLERK = "clerk"
    """Reads everything, writes accounts, work orders and gate logs."""

    ADMIN = "admin"
    """Deactivates accounts too. Users are managed on the command line alone."""

    def covers(self, other: "Role") -> bool:
        """Whether this role may do what `other` may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(other)
