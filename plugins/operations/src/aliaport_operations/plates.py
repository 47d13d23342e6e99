"""Number plates in one spelling."""

import re

from aliaport_operations.folding import fold

_SEPARATORS = re.compile(r"[\s.\-_/]+")
_PLATE = re.compile(r"[A-Z0-9]{2,15}", re.ASCII)


def normalised(text: str) -> str:
    """`34 abc 123` and `34-ABC-123` are `34ABC123`. Raises ValueError."""
    plate = fold(_SEPARATORS.sub("", text)).upper()
    if not _PLATE.fullmatch(plate):
        raise ValueError("write 2 to 15 letters and digits, like 34 ABC 123")
    return plate
