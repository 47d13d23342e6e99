"""The finding of a check: passed, failed, a warning, or not checked; only passed is passed."""

from dataclasses import dataclass
from enum import StrEnum

from aliaport.errors import AliaportError

RUNBOOKS = "deploy/runbooks"


class Verdict(StrEnum):
    """The result of one line of the checklist."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    WARNING = "warning"
    NOT_CHECKED = "not_checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict, what was seen and, unless it passed, what to do; `runbook` names an alert."""

    verdict: Verdict
    seen: str
    todo: str = ""
    runbook: str = ""


class CheckFailed(AliaportError):
    """Fails a check, with what was seen and what to do."""

    def __init__(self, seen: str, todo: str, runbook: str = "") -> None:
        super().__init__(seen)
        self.finding = Finding(Verdict.FAIL, seen, todo, runbook)


def passed(seen: str) -> Finding:
    """Return a finding that passed."""
    return Finding(Verdict.PASS, seen)


def warned(seen: str, todo: str) -> Finding:
    """Return a finding that does not fail the checklist, but needs a decision."""
    return Finding(Verdict.WARNING, seen, todo)


def not_checked(why: str, todo: str = "") -> Finding:
    """Return a finding that was not checked, and why."""
    return Finding(Verdict.NOT_CHECKED, why, todo)
