"""Types of the fields in requests, and how personal data is masked in responses."""

import re
import unicodedata
from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, StringConstraints

CLEAN = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
# Spaces by code point, since regular expression dialects disagree on what \s matches.
_VISIBLE = (
    r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*"
    r"[^\x00-\x20\x7f-\xa0\xad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff]"
    r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
)
_LINES = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
_PHONE = r"^\+?[0-9][0-9 ()/-]{3,28}[0-9]$"
_EMAIL = r"^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$"
_CODE = r"^[A-Z0-9][A-Z0-9._-]{0,31}$"
CURSOR = r"^[A-Za-z0-9_-]{1,2000}$"
TAX_NUMBER = r"^([0-9]{10}|[1-9][0-9]{10})$"

HINTS = {
    CLEAN: "write one line without control characters",
    _VISIBLE: "write one line, with something to be seen in it",
    _LINES: "write text without control characters",
    _PHONE: "write 5 to 30 digits and blanks, like +90 212 555 00 00",
    _EMAIL: "write an address like name@example.com",
    _CODE: "write 1 to 32 of A-Z, digits, dot, hyphen, underscore; the first a letter or digit",
    CURSOR: "send `next` of the page before as it came",
    TAX_NUMBER: "write 10 digits (tax number) or 11 (identity number)",
}
"""What to do about text that does not match one of the patterns."""


def _tidy(max_length: int) -> AfterValidator:
    def tidy(text: str) -> str:
        text = unicodedata.normalize("NFC", text).strip()
        if len(text) > max_length:
            raise ValueError(f"must have at most {max_length} characters")
        return text

    return AfterValidator(tidy)


Title = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=_VISIBLE), _tidy(200)
]
PersonName = Annotated[
    str, StringConstraints(min_length=1, max_length=100, pattern=_VISIBLE), _tidy(100)
]
Reason = Annotated[str, StringConstraints(max_length=500, pattern=CLEAN), _tidy(500)]
Description = Annotated[str, StringConstraints(max_length=4000, pattern=_LINES), _tidy(4000)]
Phone = Annotated[str, StringConstraints(pattern=_PHONE), Field(examples=["+90 212 555 00 00"])]
Email = Annotated[
    str,
    StringConstraints(max_length=254, pattern=_EMAIL),
    Field(examples=["name@example.com"]),
]
Code = Annotated[
    str,
    StringConstraints(pattern=_CODE),
    Field(description="A to Z, digits, dot, hyphen and underscore; unique.", examples=["TR-00042"]),
]


def _spelt(pattern: str, expected: str, read: Callable[[str], Any]) -> BeforeValidator:
    whole = re.compile(pattern, re.ASCII)

    def check(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if whole.fullmatch(value) is None:
            raise ValueError(f"write {expected}")
        try:
            return read(value)
        except ValueError as error:
            raise ValueError(f"write {expected}: {error}") from None

    return BeforeValidator(check)


# One spelling each: pydantic would accept `0` as a day of 1970 and `1_0` as a number.
Day = Annotated[date, _spelt(r"\d{4}-\d\d-\d\d", "a day like 2026-01-02", date.fromisoformat)]
Moment = Annotated[
    AwareDatetime,
    _spelt(
        r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)",
        "a time with its zone, like 2026-01-02T06:04:05+03:00 (in a query, %2B stands for +)",
        lambda text: datetime.fromisoformat(text.upper()),
    ),
]
DIGITS = _spelt(r"-?\d{1,40}(\.0+)?", "a whole number, in digits", str)
"""For numbers in queries, where everything is text; in a body, text is not a number."""

Id = Annotated[int, Field(ge=1, le=2**53 - 1), DIGITS]
"""ID of a row; JavaScript would round larger ones."""

Version = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""Version that the caller has read; if the row was changed since, the response is 409."""


def masked(text: str | None, *, first: int = 0, last: int = 0) -> str | None:
    """Return `text` with only its ends readable, so that not even its length is shown."""
    if text is None:
        return None
    if len(text) <= first + last:
        return "***"
    return f"{text[:first]}***{text[-last:] if last else ''}"
