"""Converts amounts through the lira: exact fractions, rounded once at the end."""

from decimal import Decimal
from fractions import Fraction

LIRA = "TRY"
PLACES = 4
"""Decimal places of a result; a half is rounded away from zero."""


def lira_for_one(value: Decimal, unit: int) -> Fraction:
    """The lira for one of a currency whose bulletin quotes `value` for `unit` of it."""
    return Fraction(value) / unit


def converted(amount: Decimal, source: Fraction, target: Fraction) -> Decimal:
    """`amount` of a currency in another one, given the lira for one of each."""
    return rounded(Fraction(amount) * source / target, PLACES)


def rounded(value: Fraction, places: int) -> Decimal:
    """`value`, at least 0, to so many decimal places, a half upwards."""
    scaled = value * 10**places
    whole, rest = divmod(scaled.numerator, scaled.denominator)
    whole += 2 * rest >= scaled.denominator
    digits = tuple(map(int, str(whole)))
    return Decimal((0, digits, -places))
