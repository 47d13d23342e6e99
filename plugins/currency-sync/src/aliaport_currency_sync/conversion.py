"""Converts amounts through the lira with exact fractions, rounded once at the end."""

from decimal import Decimal
from fractions import Fraction

LIRA = "TRY"
PLACES = 4
"""Decimal places of a result; a half is rounded away from zero."""


def lira_for_one(value: Decimal, unit: int) -> Fraction:
    """Return the lira for one unit of a currency quoted at `value` for `unit` of it."""
    return Fraction(value) / unit


def converted(amount: Decimal, source: Fraction, target: Fraction) -> Decimal:
    """Return `amount` in another currency, given the lira for one unit of each."""
    return rounded(Fraction(amount) * source / target, PLACES)


def rounded(value: Fraction, places: int) -> Decimal:
    """Return `value`, which is 0 or more, rounded half up to `places` decimal places."""
    scaled = value * 10**places
    whole, rest = divmod(scaled.numerator, scaled.denominator)
    whole += 2 * rest >= scaled.denominator
    digits = tuple(map(int, str(whole)))
    return Decimal((0, digits, -places))
