"""Reads the query parameters and rejects invalid ones by name."""

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


def invalid(parameter: str, message: str) -> Refusal:
    """Return the error response for one parameter."""
    return Refusal(400, "invalid_parameter", f"{parameter}: {message}", parameter=parameter)


def read_query(query: MultiMapping[str], known: Collection[str]) -> Mapping[str, str]:
    """Return the parameters by name. Raises Refusal if one is unknown or repeated."""
    for name in query:
        if name not in known:
            raise invalid(name[:40], f"unknown parameter; valid ones are {', '.join(known)}")
        if len(query.getall(name)) > 1:
            raise invalid(name, "must not be repeated")
    return dict(query)


def day_of(query: Mapping[str, str], today: date) -> date:
    """Return the parameter `date`, by default today. Raises Refusal."""
    text = query.get("date")
    if text is None:
        return today
    try:
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        raise invalid("date", "must be a valid date such as 2026-11-24")
    if day > today:
        raise invalid("date", f"must not be in the future; today is {today} in Istanbul")
    return day


def code_of(query: Mapping[str, str], name: str) -> str:
    """Return a currency code such as USD. Raises Refusal."""
    text = query.get(name, "")
    if not _CODE.fullmatch(text):
        raise invalid(name, "must be a currency code of three capital letters, such as USD")
    return text


def amount_of(query: Mapping[str, str]) -> Decimal:
    """Return the parameter `amount`. Raises Refusal."""
    text = query.get("amount", "")
    if not _AMOUNT.fullmatch(text):
        raise invalid(
            "amount",
            "must be a number such as 1250.50, with at most 18 digits before the point and 8 after",
        )
    return Decimal(text)


def kind_of(query: Mapping[str, str]) -> str:
    """Return the parameter `rate`, by default forex_buying. Raises Refusal."""
    kind = query.get("rate", PRICES[0])
    if kind not in PRICES:
        raise invalid("rate", f"must be one of {', '.join(PRICES)}")
    return kind
