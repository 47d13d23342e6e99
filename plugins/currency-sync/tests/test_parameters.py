"""Tests the query parameters that depend on the current day."""

from datetime import date

import pytest
from aliaport_currency_sync.parameters import day_of
from multidict import MultiDict

from aliaport.apps import Refusal

TODAY = date(2026, 11, 24)


def test_the_day_is_today_or_earlier() -> None:
    assert day_of(MultiDict(), TODAY) == TODAY
    assert day_of(MultiDict(date="2026-11-24"), TODAY) == TODAY
    assert day_of(MultiDict(date="2005-01-03"), TODAY) == date(2005, 1, 3)


def test_tomorrow_is_rejected() -> None:
    with pytest.raises(Refusal, match="must not be in the future; today is 2026-11-24"):
        day_of(MultiDict(date="2026-11-25"), TODAY)
