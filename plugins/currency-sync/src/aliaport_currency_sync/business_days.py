"""The days on which the central bank publishes a bulletin, and the one expected by now."""

from collections.abc import Collection, Iterator
from datetime import date, datetime, time, timedelta
from enum import Enum
from functools import cache
from zoneinfo import ZoneInfo

from holidays import country_holidays
from holidays.constants import HALF_DAY, PUBLIC

from aliaport_currency_sync.config import FIRST_POSSIBLE_DAY

ISTANBUL = ZoneInfo("Europe/Istanbul")
PUBLISHED_AT = time(15, 30)
LATE_AT = time(16, 30)
"""Istanbul times at which a bulletin can first be expected, and at which it is late."""

_SATURDAY = 5
_LAST_YEAR = 2100


class DayKind(Enum):
    """Kinds of days: business days have a bulletin, half holidays may have one."""

    BUSINESS = "business"
    HALF_HOLIDAY = "half_holiday"
    CLOSED = "closed"


class BusinessDays:
    """The calendar: weekends, Turkey's public holidays (package `holidays`) and extra holidays."""

    def __init__(self, extra_holidays: Collection[date] = ()) -> None:
        self._extra = frozenset(extra_holidays)

    def kind(self, day: date) -> DayKind:
        """Return the kind of `day`."""
        if day.weekday() >= _SATURDAY or day in self._extra or day in _holidays(day.year, PUBLIC):
            return DayKind.CLOSED
        return DayKind.HALF_HOLIDAY if day in _holidays(day.year, HALF_DAY) else DayKind.BUSINESS

    def open_days(self, first: date, last: date) -> Iterator[date]:
        """Yield every day from `first` to `last` that may have a bulletin, oldest first."""
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            if self.kind(day) is not DayKind.CLOSED:
                yield day

    def newest_open(self, now: datetime) -> date:
        """Return the newest day, half holidays included, whose bulletin may be out at `now`."""
        return self._newest(now, PUBLISHED_AT, (DayKind.BUSINESS, DayKind.HALF_HOLIDAY))

    def newest_published(self, now: datetime) -> date:
        """Return the newest business day whose bulletin can be expected at `now`."""
        return self._newest(now, PUBLISHED_AT, (DayKind.BUSINESS,))

    def newest_overdue(self, now: datetime) -> date:
        """Return the newest business day whose bulletin is late if it is missing at `now`."""
        return self._newest(now, LATE_AT, (DayKind.BUSINESS,))

    def business_day_before(self, day: date) -> date:
        """Return the last business day before `day`."""
        return self._last(day - timedelta(days=1), (DayKind.BUSINESS,))

    def business_days_after(self, day: date, last: date) -> int:
        """Return the number of business days after `day` up to `last`."""
        later_days = (day + timedelta(days=number) for number in range(1, (last - day).days + 1))
        return sum(self.kind(later) is DayKind.BUSINESS for later in later_days)

    def next_publication(self, now: datetime) -> datetime:
        """Return when the next bulletin may be out, half holidays included."""
        local = now.astimezone(ISTANBUL)
        day = local.date() if local.time() < PUBLISHED_AT else local.date() + timedelta(days=1)
        while self.kind(day) is DayKind.CLOSED:
            day += timedelta(days=1)
        return datetime.combine(day, PUBLISHED_AT, ISTANBUL)

    def _newest(self, now: datetime, at: time, kinds: Collection[DayKind]) -> date:
        local = now.astimezone(ISTANBUL)
        day = local.date() if local.time() >= at else local.date() - timedelta(days=1)
        return self._last(day, kinds)

    def _last(self, day: date, kinds: Collection[DayKind]) -> date:
        while self.kind(day) not in kinds:
            day -= timedelta(days=1)
        return day


class SharedCalendar:
    """The calendar of the plugin, for the application in the same process.

    The plugin sets it, since the holidays are its option. Without the plugin, it has the public
    holidays only.
    """

    def __init__(self) -> None:
        self.days = BusinessDays()


CALENDAR = SharedCalendar()


def today(now: datetime) -> date:
    """Return the date in Istanbul."""
    return now.astimezone(ISTANBUL).date()


@cache
def table_ends() -> date:
    """Return the last day for which the dates of moving holidays are known, not estimated."""
    year = FIRST_POSSIBLE_DAY.year
    while year < _LAST_YEAR and not any(
        "estimated" in name for name in _holidays(year + 1, PUBLIC).values()
    ):
        year += 1
    return date(year, 12, 31)


@cache
def _holidays(year: int, category: str) -> dict[date, str]:
    return dict(country_holidays("TR", years=year, categories=(category,), language="en_US"))
