"""Reads the query parameters and rejects invalid ones by name."""

import re
from collections.abc import Collection, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum

from multidict import MultiMapping

from aliaport.apps import Refusal, invalid_fields
from aliaport_currency_sync.bulletin import MAX_CURRENCIES, PRICES

DEFAULT_LIMIT = 100
MAX_LIMIT = 366
"""Bulletins per page of a series: those of a year have room."""

CODE = r"[A-Z]{3}"
AMOUNT = r"[0-9]{1,18}(\.[0-9]{1,8})?"

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_LIMIT = re.compile(r"[0-9]{1,4}", re.ASCII)

Query = MultiMapping[str]


class Basis(StrEnum):
    """Which bulletin is a day's: the one determined on it, or the one in force on it."""

    DETERMINED = "determined"
    PUBLISHED = "published"


def invalid(parameter: str, message: str) -> Refusal:
    """Return the error response for one parameter."""
    return invalid_fields([{"path": f"query.{parameter}", "message": message}], parameter=parameter)


def check_names(query: Query, known: Collection[str], repeatable: Collection[str] = ()) -> None:
    """Raise Refusal if a parameter is unknown, or repeated without being `repeatable`."""
    for name in query:
        if name not in known:
            raise invalid(name[:40], f"unknown parameter; valid ones are {', '.join(known)}")
        if name not in repeatable and len(query.getall(name)) > 1:
            raise invalid(name, "must not be repeated")


def day_of(query: Query, today: date, name: str = "date") -> date:
    """Return the day in the parameter `name`, by default today. Raises Refusal."""
    text = query.get(name)
    if text is None:
        return today
    try:
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        raise invalid(name, "must be a valid date such as 2026-11-24")
    if day > today:
        raise invalid(name, f"must not be in the future; today is {today} in Istanbul")
    return day


def basis_of(query: Query) -> Basis:
    """Return the parameter `basis`, by default `determined`. Raises Refusal."""
    try:
        return Basis(query.get("basis", Basis.DETERMINED))
    except ValueError:
        raise invalid("basis", f"must be one of {', '.join(Basis)}") from None


def code_of(query: Query, name: str) -> str:
    """Return a currency code such as USD. Raises Refusal."""
    return _code(query.get(name, ""), name)


def codes_of(query: Query) -> Sequence[str]:
    """Return the values of `code`, each once; empty if there is none. Raises Refusal."""
    given = query.getall("code", [])
    if len(given) > MAX_CURRENCIES:
        raise invalid("code", f"must be given {MAX_CURRENCIES} times at most")
    return tuple(dict.fromkeys(_code(text, "code") for text in given))


def amount_of(query: Query) -> Decimal:
    """Return the parameter `amount`. Raises Refusal."""
    text = query.get("amount", "")
    if not re.fullmatch(AMOUNT, text, re.ASCII):
        raise invalid(
            "amount",
            "must be a number such as 1250.50, with at most 18 digits before the point and 8 after",
        )
    return Decimal(text)


def kind_of(query: Query) -> str:
    """Return the parameter `rate`, by default forex_buying. Raises Refusal."""
    kind = query.get("rate", PRICES[0])
    if kind not in PRICES:
        raise invalid("rate", f"must be one of {', '.join(PRICES)}")
    return kind


def limit_of(query: Query) -> int:
    """Return the parameter `limit`, by default DEFAULT_LIMIT. Raises Refusal."""
    text = query.get("limit", str(DEFAULT_LIMIT))
    if not (_LIMIT.fullmatch(text) and 1 <= int(text) <= MAX_LIMIT):
        raise invalid("limit", f"must be a number from 1 to {MAX_LIMIT}")
    return int(text)


def _code(text: str, name: str) -> str:
    if not re.fullmatch(CODE, text, re.ASCII):
        raise invalid(name, "must be a currency code of three capital letters, such as USD")
    return text
