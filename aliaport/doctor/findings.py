"""What a check found: it passed, it failed, or it was not checked, which is never a pass."""

from dataclasses import dataclass
from enum import StrEnum

from aliaport.errors import AliaportError

RUNBOOKS = "deploy/runbooks"


class Verdict(StrEnum):
    """How a line of the checklist came out."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    NOT_CHECKED = "not_checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict, what was seen, and for all but a pass what to do; `runbook` is an alert."""

    verdict: Verdict
    seen: str
    todo: str = ""
    runbook: str = ""


class CheckFailed(AliaportError):
    """Ends a check with a failure: what was seen, and what to do about it."""

    def __init__(self, seen: str, todo: str, runbook: str = "") -> None:
        super().__init__(seen)
        self.finding = Finding(Verdict.FAIL, seen, todo, runbook)


def passed(seen: str) -> Finding:
    """It is as it should be."""
    return Finding(Verdict.PASS, seen)


def not_checked(why: str, todo: str = "") -> Finding:
    """Nobody knows, and why."""
    return Finding(Verdict.NOT_CHECKED, why, todo)
