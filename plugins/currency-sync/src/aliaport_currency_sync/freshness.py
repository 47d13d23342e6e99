"""Turns the coverage into the probe's result: a pure function, without clock or database."""

from datetime import datetime, timedelta

from aliaport.plugin import Check, Scalar
from aliaport_currency_sync.business_days import BusinessDays, table_ends, today
from aliaport_currency_sync.coverage import Coverage

MAX_BEHIND = 1
"""With more overdue bulletins than this, the rates are outdated instead of late."""

MAX_MISSED = 4
"""With more missing older bulletins than this, the probe is unhealthy instead of degraded."""

CALENDAR_NOTICE = timedelta(days=60)


def assess(coverage: Coverage, days: BusinessDays, now: datetime, problem: str) -> Check:
    """Return the state of the rates at `now`; `problem` is the last attempt's failure, or ''."""
    if coverage.newest is None:
        return Check.unhealthy(
            f"no bulletin is stored yet{_last_attempt(problem)}",
            code="no_bulletin",
            expected_bulletin=days.newest_published(now).isoformat(),
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
    }
    if behind:
        text = f"the newest bulletin is from {newest}, expected {overdue}{_last_attempt(problem)}"
        if behind > MAX_BEHIND:
            return Check.unhealthy(text, code="outdated", **data)
        return Check.degraded(text, code="late", **data)
    if holes:
        shown = ", ".join(
            f"{hole.day} ({hole.reason or 'not requested yet'})" for hole in reversed(holes[-3:])
        )
        text = f"older bulletins are missing ({len(holes)}): {shown}{_last_attempt(problem)}"
        if len(holes) > MAX_MISSED:
            return Check.unhealthy(text, code="missed", **data)
        return Check.degraded(text, code="missed", **data)
    if coverage.newest.jumps:
        shown = ", ".join(f"{code} {jump:+}%" for code, jump in coverage.newest.jumps.items())
        return Check.degraded(
            f"rates jumped in the bulletin of {newest}: {shown}"[:300], code="rate_jump", **data
        )
    if table_ends() - today(now) < CALENDAR_NOTICE:
        text = f"moving holidays are known only until {table_ends()}; upgrade the package holidays"
        return Check.degraded(text, code="calendar_ends", **data)
    return Check.healthy(f"the newest bulletin is from {newest}", code="ok", **data)


def _last_attempt(problem: str) -> str:
    return f"; last attempt: {problem}" if problem else ""
