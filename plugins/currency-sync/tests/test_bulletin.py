"""Tests reading bulletins, leaving out values that cannot be, and rejecting other documents."""

import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from aliaport_currency_sync.bulletin import SIZE_LIMIT, Bulletin, Fault, RefusedError, parse
from hypothesis import given
from hypothesis import strategies as st

from tests.support.tcmb import document

SAMPLES = Path(__file__).with_name("samples")
PUBLISHED = Path(__file__).with_name("published")
DAY = date(2026, 11, 24)


def sample(name: str) -> Bulletin:
    return parse((SAMPLES / name).read_bytes())


def names(prefix: str) -> list[str]:
    return sorted(path.name for path in SAMPLES.glob(f"{prefix}-*"))


REJECTED = sorted(path.name for path in SAMPLES.glob("*.xml") if not path.name.startswith("good-"))


def test_all_fields_of_a_bulletin_are_read() -> None:
    bulletin = sample("good-whole.xml")
    assert (bulletin.day, bulletin.number) == (DAY, "2026/221")
    rates = {rate.code: rate for rate in bulletin.rates}
    assert sorted(rates) == ["AUD", "DKK", "EUR", "GBP", "IRR", "JPY", "KWD", "USD", "XDR"]
    usd = rates["USD"]
    assert (usd.unit, usd.name, usd.name_en) == (1, "ABD DOLARI", "US DOLLAR")
    assert (usd.forex_buying, usd.forex_selling) == (Decimal("41.8931"), Decimal("41.9685"))
    assert (usd.banknote_buying, usd.banknote_selling) == (Decimal("41.8931"), Decimal("42.0313"))
    assert (usd.cross_rate_usd, usd.cross_rate_other) == (None, None)
    assert rates["GBP"].name == "İNGİLİZ STERLİNİ"
    assert {code for code, rate in rates.items() if rate.unit == 100} == {"JPY", "IRR"}
    assert (rates["IRR"].banknote_buying, rates["IRR"].banknote_selling) == (None, None)
    assert str(rates["XDR"].forex_buying) == "57.2013"
    assert (rates["XDR"].forex_selling, rates["XDR"].banknote_buying) == (None, None)
    assert rates["XDR"].cross_rate_other == Decimal("1.3654")
    assert rates["XDR"].name == "ÖZEL ÇEKME HAKKI (SDR)"


@pytest.mark.parametrize("name", names("good"))
def test_unusual_but_valid_bulletins_are_read(name: str) -> None:
    bulletin = sample(name)
    assert bulletin.day == DAY
    (usd,) = [rate for rate in bulletin.rates if rate.code == "USD"]
    assert (usd.unit, usd.forex_buying) == (1, Decimal("41.8931"))
    for rate in bulletin.rates:
        if rate.code == "GBP":
            assert rate.name.startswith("İNGİLİZ STERLİNİ")


@pytest.mark.parametrize(
    ("day", "number", "usd", "currencies"),
    [
        ("2010-08-06", "", "1.4904", 17),
        ("2015-12-04", "2015/231", "2.8921", 18),
        ("2020-10-08", "2020/192", "7.8931", 20),
    ],
)
def test_bulletins_of_each_known_form_are_read(
    day: str, number: str, usd: str, currencies: int
) -> None:
    bulletin = parse((PUBLISHED / f"{day}.xml").read_bytes())
    assert (str(bulletin.day), bulletin.number, bulletin.left_out) == (day, number, ())
    rates = {rate.code: rate for rate in bulletin.rates}
    assert len(rates) == currencies
    assert rates["USD"].forex_buying == Decimal(usd)
    assert rates["GBP"].name in ("STERLİN", "İNGİLİZ STERLİNİ")


def test_currencies_that_the_euro_has_replaced_are_left_out() -> None:
    bulletin = parse((PUBLISHED / "2010-08-06.xml").read_bytes())
    codes = {rate.code for rate in bulletin.rates}
    assert not codes & {"DEM", "FRF", "ITL", "GRD"}
    assert "XDR" in codes, "it has one of the four rates"


@pytest.mark.parametrize(
    "row",
    [
        '<Currency Kod="DEM" CurrencyCode="DEM"><CrossRateEuro>1.95583</CrossRateEuro></Currency>',
        '<Currency Kod="TRL" CurrencyCode="TRL"><Unit>0</Unit><ForexBuying> </ForexBuying></Currency>',
        "<Currency/>",
    ],
)
def test_a_row_without_rates_changes_nothing(row: str) -> None:
    plain = document(DAY)
    with_row = plain.replace(b"</Tarih_Date>", f"{row}</Tarih_Date>".encode())
    assert parse(with_row) == parse(plain)


def test_missing_elements_have_no_value() -> None:
    (chf,) = [rate for rate in sample("good-missing-elements.xml").rates if rate.code == "CHF"]
    assert (chf.name, chf.forex_buying) == ("", Decimal("52.0001"))
    assert (chf.forex_selling, chf.banknote_buying, chf.cross_rate_usd) == (None, None, None)


@pytest.mark.parametrize(
    "value",
    [
        "0",
        "0.0000",
        "-55.1864",
        "NaN",
        "INF",
        "5.5e1",
        "55,1864",
        "٥٥",
        "9999999999",
        "1.123456789",
    ],
)
@pytest.mark.parametrize("tag", ["ForexBuying", "BanknoteSelling", "CrossRateOther"])
def test_a_value_that_cannot_be_counts_as_not_quoted(tag: str, value: str) -> None:
    not_quoted, odd = (parse(document_with("GBP", tag, text)) for text in ("", value))
    assert odd.left_out == (f"GBP: {tag} is {value!r}, not a positive number",)
    assert (odd.rates, not_quoted.left_out) == (not_quoted.rates, ())


def document_with(code: str, tag: str, value: str) -> bytes:
    """Return a bulletin with another value of one currency."""
    plain = document(DAY).decode()
    row = re.search(rf'<Currency [^>]*CurrencyCode="{code}">.*?</Currency>', plain, re.DOTALL)
    assert row is not None
    changed, replaced = re.subn(rf"<{tag}(/>|>.*</{tag}>)", f"<{tag}>{value}</{tag}>", row[0])
    assert replaced == 1
    return plain.replace(row[0], changed).encode()


@pytest.mark.parametrize(
    ("code", "tag", "value", "reason"),
    [
        ("JPY", "Unit", "0", "Unit is '0', not a positive integer"),
        ("JPY", "Unit", "", "Unit is '', not a positive integer"),
        ("XDR", "ForexBuying", "0", "ForexBuying is '0', not a positive number"),
    ],
)
def test_a_currency_without_a_usable_price_is_left_out(
    code: str, tag: str, value: str, reason: str
) -> None:
    read = parse(document_with(code, tag, value))
    assert read.left_out == (f"{code}: {reason}",)
    assert read.rates == tuple(rate for rate in parse(document(DAY)).rates if rate.code != code)


@pytest.mark.parametrize("selling", ["50.0000", "99.0000"])
def test_both_rates_of_an_implausible_pair_are_left_out(selling: str) -> None:
    read = parse(document_with("GBP", "ForexSelling", selling))
    (gbp,) = [rate for rate in read.rates if rate.code == "GBP"]
    assert (gbp.forex_buying, gbp.forex_selling) == (None, None)
    assert gbp.banknote_buying == Decimal("55.1864")
    assert read.left_out == (f"GBP: implausible forex rates: buying 55.1864, selling {selling}",)


@pytest.mark.parametrize("code", ["USD", "EUR"])
@pytest.mark.parametrize("tag", ["ForexBuying", "ForexSelling", "Unit"])
def test_dollar_and_euro_need_valid_forex_rates(code: str, tag: str) -> None:
    with pytest.raises(RefusedError, match=rf"{code}: {tag} is '-1', not a positive") as refused:
        parse(document_with(code, tag, "-1"))
    assert refused.value.fault is Fault.INVALID_VALUE
    if tag == "ForexBuying":
        parse(document_with(code, "BanknoteBuying", "-1"))


@pytest.mark.parametrize("name", REJECTED)
def test_invalid_documents_are_rejected_with_their_fault(name: str) -> None:
    with pytest.raises(RefusedError) as refused:
        sample(name)
    assert refused.value.fault == name.partition("-")[0], refused.value
    assert len(str(refused.value)) < 250
    assert "root:" not in str(refused.value), "the content of a file leaked"


def test_every_fault_has_a_sample() -> None:
    found = {name.partition("-")[0] for name in REJECTED}
    assert found == {fault.value for fault in Fault} - {"too_large"}


def test_a_huge_document_is_rejected_before_parsing() -> None:
    with pytest.raises(RefusedError) as refused:
        parse(document(DAY) + b" " * SIZE_LIMIT)
    assert refused.value.fault is Fault.TOO_LARGE


def test_entities_are_never_expanded() -> None:
    entities = "".join(
        f'<!ENTITY e{number} "{f"&e{number - 1};" * 10}">' for number in range(1, 12)
    )
    bomb = document(DAY).replace(
        b"<Tarih_Date", f'<!DOCTYPE x [<!ENTITY e0 "lol">{entities}]>\n<Tarih_Date'.encode(), 1
    )
    bomb = bomb.replace(b"US DOLLAR", b"&e11;")
    with pytest.raises(RefusedError):
        parse(bomb)


def test_the_same_content_in_another_format_has_the_same_digest() -> None:
    text = document(DAY).decode()
    reformatted = re.sub(r"\n\s*", "\n", text).replace(
        "<ForexSelling/>", "<ForexSelling></ForexSelling>"
    )
    assert reformatted != text
    assert parse(reformatted.encode()).digest == parse(text.encode()).digest
    assert parse(document(DAY, percent=0.01)).digest != parse(text.encode()).digest
    assert parse(document(DAY, number="2026/999")).digest != parse(text.encode()).digest


@given(st.data())
def test_any_document_is_read_or_rejected(data: st.DataObject) -> None:
    body = bytearray(document(DAY, only=("USD", "EUR")))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    try:
        bulletin = parse(bytes(body))
    except RefusedError:
        return
    for rate in bulletin.rates:
        for value in (rate.forex_buying, rate.forex_selling, rate.cross_rate_other):
            assert value is None or 0 < value < 10**9


def test_a_document_with_too_many_currencies_is_rejected_before_they_are_read() -> None:
    root, _, rest = document(DAY).partition(b"<Currency ")
    many = b"<Currency/>" * 17_000
    with pytest.raises(RefusedError, match=r"lists 17,00\d currencies; at most 100") as raised:
        parse(root + many + b"<Currency " + rest)
    assert raised.value.fault is Fault.TOO_LARGE
