"""Types of request fields, and masking of personal data in responses."""

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
    CLEAN: "must be one line without control characters",
    _VISIBLE: "must be one line with at least one visible character",
    _LINES: "must not contain control characters except tabs and line breaks",
    _PHONE: "must be a phone number of 5 to 30 characters, such as +90 212 555 00 00",
    _EMAIL: "must be an email address, such as name@example.com",
    _CODE: "must begin with A-Z or 0-9, and have 1 to 32 of A-Z, 0-9, dot, hyphen and underscore",
    CURSOR: "must be `next` of the previous page, unchanged",
    TAX_NUMBER: "must have 10 digits (tax number) or 11 digits (identity number)",
}
"""Messages for text that does not match one of these patterns."""


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
Phone = Annotated[
    str,
    StringConstraints(max_length=30, pattern=_PHONE),
    Field(examples=["+90 212 555 00 00"]),
]
Email = Annotated[
    str,
    StringConstraints(max_length=254, pattern=_EMAIL),
    Field(examples=["name@example.com"]),
]
Code = Annotated[
    str,
    StringConstraints(pattern=_CODE),
    Field(
        description="Unique code of A-Z, 0-9, dot, hyphen and underscore.", examples=["TR-00042"]
    ),
]


def _format(pattern: str, expected: str, read: Callable[[str], Any]) -> BeforeValidator:
    allowed = re.compile(pattern, re.ASCII)

    def check(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if allowed.fullmatch(value) is None:
            raise ValueError(f"must be {expected}")
        try:
            return read(value)
        except ValueError as error:
            raise ValueError(f"must be {expected}: {error}") from None

    return BeforeValidator(check)


# One format each: pydantic would also accept `0` as a day of 1970 and `1_0` as a number.
Day = Annotated[date, _format(r"\d{4}-\d\d-\d\d", "a date, such as 2026-01-02", date.fromisoformat)]
Moment = Annotated[
    AwareDatetime,
    _format(
        r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)",
        "a time with a UTC offset, such as 2026-01-02T06:04:05+03:00 (in a query, write + as %2B)",
        lambda text: datetime.fromisoformat(text.upper()),
    ),
]
DIGITS = _format(r"-?\d{1,40}(\.0+)?", "a whole number", str)
"""For numbers in queries, where every value is text. In a body, text is not a number."""

Id = Annotated[int, Field(ge=1, le=2**53 - 1), DIGITS]
"""ID of a row; JavaScript would round larger ones."""

Version = Annotated[
    int,
    Field(
        ge=1,
        le=2**31 - 1,
        description="The version that you read. If it is not the current one, you get 409.",
    ),
]


def masked(text: str | None, *, first: int = 0, last: int = 0) -> str | None:
    """Return `text` with only its ends readable, and its length hidden."""
    if text is None:
        return None
    if len(text) <= first + last:
        return "***"
    return f"{text[:first]}***{text[-last:] if last else ''}"
