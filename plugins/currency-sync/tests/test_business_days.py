"""Tests the days with a bulletin, and when it is expected and late."""

from datetime import date

import pytest
from aliaport_currency_sync.business_days import BusinessDays, DayKind, table_ends

from tests.support.tcmb import istanbul

DAYS = BusinessDays()


@pytest.mark.parametrize(
    ("day", "kind"),
    [
        ("2026-11-24", "business"),  # a Tuesday
        ("2026-11-21", "closed"),  # a Saturday
        ("2026-11-22", "closed"),  # a Sunday
        ("2026-01-01", "closed"),
        ("2026-04-23", "closed"),
        ("2026-05-01", "closed"),
        ("2026-05-19", "closed"),
        ("2026-07-15", "closed"),
        ("2026-10-29", "closed"),
        ("2026-10-28", "half_holiday"),
        ("2026-03-19", "half_holiday"),  # the eve of Ramazan Bayramı
        ("2026-03-20", "closed"),
        ("2026-05-26", "half_holiday"),  # the eve of Kurban Bayramı
        ("2026-05-29", "closed"),
        ("2008-05-01", "business"),  # a holiday only since 2009
        ("2016-07-15", "business"),  # a holiday only since 2017
        ("2027-05-18", "closed"),
    ],
)
def test_kinds_of_days(day: str, kind: str) -> None:
    assert DAYS.kind(date.fromisoformat(day)) is DayKind(kind)


@pytest.mark.parametrize(
    ("day", "before"),
    [
        ("2026-11-24", "2026-11-23"),
        ("2026-11-23", "2026-11-20"),
        ("2026-06-01", "2026-05-25"),  # over Kurban Bayramı and its eve
    ],
)
def test_the_business_day_before(day: str, before: str) -> None:
    assert DAYS.business_day_before(date.fromisoformat(day)) == date.fromisoformat(before)


def test_extra_holidays_are_closed() -> None:
    days = BusinessDays([date(2026, 3, 18)])
    assert days.kind(date(2026, 3, 18)) is DayKind.CLOSED
    assert DAYS.kind(date(2026, 3, 18)) is DayKind.BUSINESS


@pytest.mark.parametrize(
    ("now", "published", "overdue", "newest_open"),
    [
        ("2026-11-24 15:29:59", "2026-11-23", "2026-11-23", "2026-11-23"),
        ("2026-11-24 15:30", "2026-11-24", "2026-11-23", "2026-11-24"),
        ("2026-11-24 16:30", "2026-11-24", "2026-11-24", "2026-11-24"),
        ("2026-11-22 18:00", "2026-11-20", "2026-11-20", "2026-11-20"),  # Sunday
        ("2026-11-23 09:00", "2026-11-20", "2026-11-20", "2026-11-20"),  # Monday morning
        ("2026-10-28 18:00", "2026-10-27", "2026-10-27", "2026-10-28"),  # a half holiday
        ("2026-10-29 18:00", "2026-10-27", "2026-10-27", "2026-10-28"),
        ("2026-06-01 10:00", "2026-05-25", "2026-05-25", "2026-05-26"),  # after nine days
        ("2026-11-25 00:30", "2026-11-24", "2026-11-24", "2026-11-24"),  # the 24th in UTC
    ],
)
def test_which_bulletin_is_expected(
    now: str, published: str, overdue: str, newest_open: str
) -> None:
    at = istanbul(now)
    assert DAYS.newest_published(at) == date.fromisoformat(published)
    assert DAYS.newest_overdue(at) == date.fromisoformat(overdue)
    assert DAYS.newest_open(at) == date.fromisoformat(newest_open)


def test_open_days_exclude_weekends_and_holidays() -> None:
    days = list(DAYS.open_days(date(2026, 5, 22), date(2026, 6, 2)))
    assert [day.day for day in days] == [22, 25, 26, 1, 2]
    assert list(DAYS.open_days(date(2026, 5, 22), date(2026, 5, 21))) == []
    assert DAYS.business_days_after(date(2026, 5, 22), date(2026, 6, 2)) == 3
    assert DAYS.business_days_after(date(2026, 6, 2), date(2026, 5, 22)) == 0


def test_the_table_of_moving_holidays_ends() -> None:
    end = table_ends()
    assert (end.month, end.day) == (12, 31)
    assert 2027 < end.year < 2100
