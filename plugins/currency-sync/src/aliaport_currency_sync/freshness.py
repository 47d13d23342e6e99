"""Turns the coverage into the probe's result: a pure function, without clock or database."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from aliaport.plugin import Check, Scalar
from aliaport_currency_sync.business_days import ISTANBUL, BusinessDays, table_ends, today
from aliaport_currency_sync.coverage import Coverage
from aliaport_currency_sync.intake import shortened

MAX_BEHIND = 1
"""With more overdue bulletins than this, the rates are outdated instead of late."""

MAX_MISSED = 4
"""With more missing older bulletins than this, the probe is unhealthy instead of degraded."""

CALENDAR_NOTICE = timedelta(days=60)


def assess(
    coverage: Coverage,
    days: BusinessDays,
    now: datetime,
    *,
    problem: str,
    left_out: Sequence[str],
    next_attempt: datetime | None,
) -> Check:
    """Return the state of the rates at `now`.

    `problem` is the last attempt's failure, or ''; `left_out` has the values that the newest
    bulletin lacks because they cannot be; `next_attempt` is None if this replica does not lead.
    """
    attempts = _attempts(problem, next_attempt)
    shown_attempt = None if next_attempt is None else _utc(next_attempt)
    if coverage.newest is None:
        return Check.unhealthy(
            f"no bulletin is stored yet{attempts}",
            code="no_bulletin",
            expected_bulletin=days.newest_published(now).isoformat(),
            next_attempt_at=shown_attempt,
        )
    newest, overdue = coverage.newest.day, days.newest_overdue(now)
    behind = days.business_days_after(newest, overdue)
    holes = [hole for hole in coverage.missed(days, now) if hole.day < newest]
    data: dict[str, Scalar] = {
        "newest_bulletin": newest.isoformat(),
        "revision": coverage.newest.revision,
        "expected_bulletin": overdue.isoformat(),
        "missed_bulletins": behind + len(holes),
        "last_stored_at": coverage.newest.last_stored_at.isoformat(timespec="seconds"),
        "next_attempt_at": shown_attempt,
    }
    if behind:
        text = f"the newest bulletin is from {newest}, expected {overdue}{attempts}"
        if behind > MAX_BEHIND:
            return Check.unhealthy(text, code="outdated", **data)
        return Check.degraded(text, code="late", **data)
    if holes:
        shown = ", ".join(
            f"{hole.day} ({hole.reason or 'not requested yet'})" for hole in reversed(holes[-3:])
        )
        text = f"older bulletins are missing ({len(holes)}): {shown}{attempts}"
        if len(holes) > MAX_MISSED:
            return Check.unhealthy(text, code="missed", **data)
        return Check.degraded(text, code="missed", **data)
    if coverage.newest.jumps:
        shown = ", ".join(f"{code} {jump:+}%" for code, jump in coverage.newest.jumps.items())
        return Check.degraded(
            f"rates jumped in the bulletin of {newest}: {shown}"[:300], code="rate_jump", **data
        )
    if left_out:
        text = f"values are left out of the bulletin of {newest}: {shortened(left_out)}"
        return Check.degraded(text, code="values_left_out", **data)
    if table_ends() - today(now) < CALENDAR_NOTICE:
        text = f"moving holidays are known only until {table_ends()}; upgrade the package holidays"
        return Check.degraded(text, code="calendar_ends", **data)
    return Check.healthy(f"the newest bulletin is from {newest}", code="ok", **data)


def _attempts(problem: str, next_attempt: datetime | None) -> str:
    last = f"; last attempt: {problem}" if problem else ""
    if next_attempt is None:
        return f"{last}; this replica does not download"
    return f"{last}; next attempt: {next_attempt.astimezone(ISTANBUL):%Y-%m-%d %H:%M} in Istanbul"


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
