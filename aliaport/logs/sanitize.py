"""Turns logged values into plain, bounded ones, in the thread that logs."""

from collections.abc import Mapping
from typing import Any

import orjson

from aliaport.redaction import MARGIN, shorten

TEXT_LIMIT = 8_192
"""Maximum characters of one value."""

FIELD_LIMIT = 64
"""Maximum fields of one event."""

_PLAIN = frozenset((str, int, float, bool, type(None)))


def sanitize(fields: dict[str, Any]) -> int:
    """Replace values that are not plain or too long; return the characters of long texts."""
    weight = 0
    if len(fields) > FIELD_LIMIT:
        for name in list(fields)[FIELD_LIMIT:]:
            del fields[name]
        fields["fields_left_out"] = True
    for name, value in fields.items():
        kind = type(value)
        if kind is str:
            if len(value) > 1_024:
                if len(value) > TEXT_LIMIT:
                    fields[name] = value = shortened(value)
                weight += len(value)
        elif kind not in _PLAIN:
            fields[name] = value = _as_plain(value)
            weight += len(value) if type(value) is str else 0
    return weight


def shortened(text: str) -> str:
    """Return the beginning of a long text, with the number of characters left out."""
    return f"{shorten(text, TEXT_LIMIT)}… ({len(text) - TEXT_LIMIT} more)"


def _as_plain(value: Any) -> Any:
    try:
        if isinstance(value, str):
            text = str.__str__(value)
        elif isinstance(value, bool | int | float):
            return float(value) if isinstance(value, float) else int(value)
        elif isinstance(value, bytes | bytearray):
            text = bytes(value[: TEXT_LIMIT + MARGIN]).decode("utf-8", "backslashreplace")
        elif isinstance(value, BaseException):
            text = f"{type(value).__name__}: {value}"
        elif isinstance(value, Mapping | list | tuple | set | frozenset):
            text = _as_json(value)
        else:
            text = str(value)
    except Exception as error:  # a bulkhead: str() of an untrusted object runs its code
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"
    return shortened(text) if len(text) > TEXT_LIMIT else text


def _as_json(value: Any) -> str:
    if isinstance(value, set | frozenset):
        value = sorted(value, key=repr)
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except (orjson.JSONEncodeError, RecursionError):  # too deep, or numbers beyond 64 bits
        return repr(value)
