"""The kinds of fields that requests have."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

_CLEAN = r"^[^\x00-\x1f\x7f]*$"
_VISIBLE = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f\s][^\x00-\x1f\x7f]*$"
_LINES = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
_PHONE = r"^\+?[0-9][0-9 ()/-]{3,28}[0-9]$"
_EMAIL = r"^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$"
_CODE = r"^[A-Z0-9][A-Z0-9._-]{0,31}$"
TAX_NUMBER = r"^([0-9]{10}|[1-9][0-9]{10})$"

HINTS = {
    _CLEAN: "write one line without control characters",
    _VISIBLE: "write one line, with something to be seen in it",
    _LINES: "write text without control characters",
    _PHONE: "write 5 to 30 digits and blanks, like +90 212 555 00 00",
    _EMAIL: "write an address like name@example.com",
    _CODE: "write 1 to 32 of A-Z, digits, dot, hyphen, underscore; the first a letter or digit",
    TAX_NUMBER: "write 10 digits (tax number) or 11 (identity number)",
}
"""What to do about text that does not match one of the patterns."""


def _tidy(most: int) -> AfterValidator:
    def tidy(text: str) -> str:
        text = unicodedata.normalize("NFC", text).strip()
        if len(text) > most:
            raise ValueError(f"must have at most {most} characters")
        return text

    return AfterValidator(tidy)


Title = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=_VISIBLE), _tidy(200)
]
PersonName = Annotated[
    str, StringConstraints(min_length=1, max_length=100, pattern=_VISIBLE), _tidy(100)
]
Reason = Annotated[str, StringConstraints(max_length=500, pattern=_CLEAN), _tidy(500)]
Description = Annotated[str, StringConstraints(max_length=4000, pattern=_LINES), _tidy(4000)]
Phone = Annotated[str, StringConstraints(pattern=_PHONE)]
Email = Annotated[str, StringConstraints(max_length=254, pattern=_EMAIL)]
Code = Annotated[
    str,
    StringConstraints(pattern=_CODE),
    Field(description="A to Z, digits, dot, hyphen and underscore; unique."),
]
Id = Annotated[int, Field(ge=1, le=2**53 - 1)]
"""A row's number; larger ones would not survive JavaScript."""

Version = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""Of the state that the caller has seen: a change made since then is answered with 409."""
