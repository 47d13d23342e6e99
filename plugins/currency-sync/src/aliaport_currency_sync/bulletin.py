"""Reads a bulletin of the central bank: leaves out values that cannot be, or rejects it."""

import hashlib
import re
from dataclasses import astuple, dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from lxml import etree

from aliaport_currency_sync.config import FIRST_POSSIBLE_DAY

SIZE_LIMIT = 1_000_000
"""Bytes; a real bulletin has about 15,000."""

MAX_CURRENCIES = 100
"""A real bulletin has about 20."""

PRICES = ("forex_buying", "forex_selling", "banknote_buying", "banknote_selling")
"""The four rates of a currency, in lira for `unit` of it."""

_ELEMENTS = {
    "forex_buying": "ForexBuying",
    "forex_selling": "ForexSelling",
    "banknote_buying": "BanknoteBuying",
    "banknote_selling": "BanknoteSelling",
    "cross_rate_usd": "CrossRateUSD",
    "cross_rate_other": "CrossRateOther",
}
VALUES = tuple(_ELEMENTS)
"""The four rates, then the two cross rates against the dollar."""

_PRICE_TAGS = frozenset(_ELEMENTS[price] for price in PRICES)

_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,8})?", re.ASCII)
_UNIT = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)
_CODE = re.compile(r"[A-Z]{3}")
_DAY = re.compile(r"([0-9]{2})\.([0-9]{2})\.([0-9]{4})", re.ASCII)
_BULLETIN_NUMBER = re.compile(r"[0-9]{4}/[0-9]{1,4}", re.ASCII)
_REQUIRED_CODES = ("USD", "EUR")
_MAX_SPREAD = Decimal("1.5")
"""Maximum ratio of selling to buying rate; real ones differ by less than 3 %."""


class Fault(StrEnum):
    """Reasons to reject a document. The values are labels of metrics and appear in messages."""

    TOO_LARGE = "too_large"
    HTML_PAGE = "html_page"
    NOT_XML = "not_xml"
    NOT_A_BULLETIN = "not_a_bulletin"
    WRONG_DATE = "wrong_date"
    INCOMPLETE = "incomplete"
    INVALID_CURRENCY = "invalid_currency"
    INVALID_VALUE = "invalid_value"


class RefusedError(Exception):
    """The document is rejected; `fault` is the reason for programs, the message for people."""

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One currency of a bulletin: lira for `unit` of it, None if the bulletin has no value."""

    code: str
    unit: int
    name: str
    name_en: str
    forex_buying: Decimal | None
    forex_selling: Decimal | None
    banknote_buying: Decimal | None
    banknote_selling: Decimal | None
    cross_rate_usd: Decimal | None
    cross_rate_other: Decimal | None


@dataclass(frozen=True, slots=True)
class Bulletin:
    """One bulletin: its day, its number such as `2020/192` or '', and its currencies with rates.

    Bulletins of 2010 have no number. `left_out` says which values of the document are not in
    `rates`, and why.
    """

    day: date
    number: str
    rates: tuple[Rate, ...]
    left_out: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """A hash of the content, equal for the same bulletin formatted differently."""
        lines = [self.number, *("|".join(map(str, astuple(rate))) for rate in self.rates)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def parse(document: bytes) -> Bulletin:
    """Return the bulletin. Raises RefusedError if it is not as documented.

    A value that is not a positive number, or both of a pair that cannot be, count as not quoted.
    They are listed in `left_out`. Only without a forex rate of dollar or euro is it rejected.

    A currency without any rate in lira is left out: until 2010 at least, bulletins list those that
    the euro has replaced, with nothing but their name and parity.
    """
    root = _root(document)
    day = _day(root.get("Tarih", ""))
    number = root.get("Bulten_No", "").strip()
    if number and not _BULLETIN_NUMBER.fullmatch(number):
        raise RefusedError(
            Fault.NOT_A_BULLETIN, f"Bulten_No is {number[:20]!r}, not in the form 2020/192"
        )
    rates: dict[str, Rate | None] = {}
    problems: dict[str, list[str]] = {}
    for element in filter(_has_price, root):
        code = _code(element)
        if code in rates:
            raise RefusedError(Fault.INVALID_CURRENCY, f"{code} is listed twice")
        problems[code] = []
        rates[code] = _rate(element, code, problems[code])
    missing = [code for code in _REQUIRED_CODES if code not in rates]
    if missing:
        raise RefusedError(Fault.INCOMPLETE, f"missing from the bulletin: {', '.join(missing)}")
    for code in _REQUIRED_CODES:
        rate = rates[code]
        if rate is None or None in (rate.forex_buying, rate.forex_selling):
            if problems[code]:
                raise RefusedError(Fault.INVALID_VALUE, f"{code}: {'; '.join(problems[code][:2])}")
            raise RefusedError(Fault.INCOMPLETE, f"{code} has no forex rate")
    return Bulletin(
        day,
        number,
        tuple(rate for _, rate in sorted(rates.items()) if rate is not None),
        tuple(f"{code}: {problem}" for code in sorted(problems) for problem in problems[code]),
    )


def _root(document: bytes) -> "etree._Element":
    if len(document) > SIZE_LIMIT:
        raise RefusedError(Fault.TOO_LARGE, f"the document is larger than {SIZE_LIMIT:,} bytes")
    if document.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        raise RefusedError(Fault.HTML_PAGE, "the document is an HTML page")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(document, parser)
    except etree.XMLSyntaxError as error:
        text = str(error.msg)[:150]
        raise RefusedError(Fault.NOT_XML, f"the document is not well-formed XML: {text}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise RefusedError(Fault.NOT_A_BULLETIN, "the document has a DOCTYPE; bulletins have none")
    if root.tag != "Tarih_Date" or any(child.tag != "Currency" for child in root):
        raise RefusedError(
            Fault.NOT_A_BULLETIN, "the root is not a Tarih_Date with Currency elements"
        )
    if len(root) > MAX_CURRENCIES:
        raise RefusedError(
            Fault.TOO_LARGE,
            f"the document lists {len(root):,} currencies; at most {MAX_CURRENCIES} are read",
        )
    return root


def _day(text: str) -> date:
    found = _DAY.fullmatch(text.strip())
    if found is None:
        raise RefusedError(Fault.WRONG_DATE, f"Tarih is {text[:20]!r}, not in the form 08.10.2020")
    try:
        day = date(int(found[3]), int(found[2]), int(found[1]))
    except ValueError:
        raise RefusedError(Fault.WRONG_DATE, f"Tarih is {text[:20]!r}, not a valid date") from None
    if day < FIRST_POSSIBLE_DAY:
        raise RefusedError(Fault.WRONG_DATE, f"{day} is before 2005-01-01, in the old lira")
    return day


def _has_price(element: "etree._Element") -> bool:
    return any(
        child.tag in _PRICE_TAGS and (len(child) or (child.text or "").strip()) for child in element
    )


def _code(element: "etree._Element") -> str:
    code = element.get("CurrencyCode", "").strip()
    if not _CODE.fullmatch(code) or element.get("Kod", code).strip() != code:
        raise RefusedError(
            Fault.INVALID_CURRENCY,
            f"CurrencyCode {code[:10]!r}, Kod {element.get('Kod', '')[:10]!r}: not one ISO code",
        )
    if code == "TRY":
        raise RefusedError(Fault.INVALID_CURRENCY, "the bulletin has a rate for the lira itself")
    return code


def _rate(element: "etree._Element", code: str, problems: list[str]) -> Rate | None:
    """Return the rate, or None if it has no usable price; add what is left out to `problems`."""
    texts = _texts(element, code)
    unit = texts.get("Unit", "")
    if not _UNIT.fullmatch(unit):
        problems.append(f"Unit is {unit[:20]!r}, not a positive integer")
        return None
    values = {name: _value(tag, texts.get(tag, ""), problems) for name, tag in _ELEMENTS.items()}
    for kind in ("forex", "banknote"):
        buying, selling = values[f"{kind}_buying"], values[f"{kind}_selling"]
        if buying and selling and not buying <= selling <= buying * _MAX_SPREAD:
            problems.append(f"implausible {kind} rates: buying {buying}, selling {selling}")
            values[f"{kind}_buying"] = values[f"{kind}_selling"] = None
    if not any(values[price] for price in PRICES):
        return None
    return Rate(
        code=code,
        unit=int(unit),
        name=texts.get("Isim", "")[:80],
        name_en=texts.get("CurrencyName", "")[:80],
        **values,
    )


def _texts(element: "etree._Element", code: str) -> dict[str, str]:
    texts: dict[str, str] = {}
    for child in element:
        tag = str(child.tag)
        if tag in texts or len(child):
            raise RefusedError(
                Fault.INVALID_CURRENCY, f"{code}: {tag[:30]} is not a single plain text"
            )
        texts[tag] = " ".join((child.text or "").split())
    return texts


def _value(tag: str, text: str, problems: list[str]) -> Decimal | None:
    value = Decimal(text) if _NUMBER.fullmatch(text) else Decimal()
    if text and not value:
        problems.append(f"{tag} is {text[:20]!r}, not a positive number")
    return value or None
