"""Reads the query parameters; a wrong one is refused by its name."""

import re
from collections.abc import Collection, Mapping
from datetime import date
from decimal import Decimal

from multidict import MultiMapping

from aliaport.apps import Refusal
from aliaport_currency_sync.bulletin import PRICES

_CODE = re.compile(r"[A-Z]{3}", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_AMOUNT = re.compile(r"[0-9]{1,18}(\.[0-9]{1,8})?", re.ASCII)


def wrong(parameter: str, message: str) -> Refusal:
    """The refusal of one parameter."""
    return Refusal(400, "invalid_parameter", f"{parameter}: {message}", parameter=parameter)


def plain(query: MultiMapping[str], known: Collection[str]) -> Mapping[str, str]:
    """The parameters by name. Raises Refusal where one is unknown or stands twice."""
    for name in query:
        if name not in known:
            raise wrong(name[:40], f"is unknown; there are {', '.join(known)}")
        if len(query.getall(name)) > 1:
            raise wrong(name, "stands more than once")
    return dict(query)


def day_of(query: Mapping[str, str], today: date) -> date:
    """The parameter `date`, by default today. Raises Refusal."""
    text = query.get("date")
    if text is None:
        return today
    try:
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        raise wrong("date", "write an existing day like 2026-11-24")
    if day > today:
        raise wrong("date", f"is in the future; today is {today} in Istanbul")
    return day


def code_of(query: Mapping[str, str], name: str) -> str:
    """A currency code such as USD. Raises Refusal."""
    text = query.get(name, "")
    if not _CODE.fullmatch(text):
        raise wrong(name, "write a currency code of three capital letters, like USD")
    return text


def amount_of(query: Mapping[str, str]) -> Decimal:
    """The parameter `amount`. Raises Refusal."""
    text = query.get("amount", "")
    if not _AMOUNT.fullmatch(text):
        raise wrong("amount", "write digits with a decimal point, like 1250.50 (18 and 8 at most)")
    return Decimal(text)


def kind_of(query: Mapping[str, str]) -> str:
    """The parameter `rate`, by default forex_buying. Raises Refusal."""
    kind = query.get("rate", PRICES[0])
    if kind not in PRICES:
        raise wrong("rate", f"choose one of {', '.join(PRICES)}")
    return kind
