"""Tests exact conversion, rounded once."""

from decimal import Decimal
from fractions import Fraction

from aliaport_currency_sync.conversion import PLACES, converted, lira_for_one, rounded
from hypothesis import given
from hypothesis import strategies as st

amounts = st.decimals(0, 10**18, places=8)
prices = st.decimals(Decimal("0.0001"), 10**6, places=4)
units = st.sampled_from([1, 100])


def test_units_of_a_hundred_and_cross_rates() -> None:
    usd, jpy = lira_for_one(Decimal("41.8931"), 1), lira_for_one(Decimal("27.7421"), 100)
    assert converted(Decimal(1000), jpy, Fraction(1)) == Decimal("277.4210")
    assert converted(Decimal(100), usd, jpy) == Decimal("15100.9116")
    assert converted(Decimal(100), usd, usd) == Decimal("100.0000")


def test_a_half_is_rounded_up() -> None:
    assert rounded(Fraction(1, 20000), PLACES) == Decimal("0.0001")
    assert rounded(Fraction(1, 20001), PLACES) == Decimal("0.0000")
    assert rounded(Fraction(0), PLACES) == Decimal("0.0000")
    assert f"{rounded(Fraction(123456789), 4):f}" == "123456789.0000"


@given(amounts, prices, units, prices, units)
def test_results_are_exact_to_half_of_the_last_place(
    amount: Decimal, source: Decimal, source_unit: int, target: Decimal, target_unit: int
) -> None:
    exact = Fraction(amount) * (Fraction(source) / source_unit) / (Fraction(target) / target_unit)
    result = converted(amount, lira_for_one(source, source_unit), lira_for_one(target, target_unit))
    error = Fraction(result) - exact
    assert -Fraction(1, 2 * 10**PLACES) < error <= Fraction(1, 2 * 10**PLACES)
    assert result.as_tuple().exponent == -PLACES
