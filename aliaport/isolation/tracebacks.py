"""Prints exceptions as Python does, but bounded, and with the code of none but their `__str__`.

Python's own printer reads any file, overridden attributes, and chains without end.
"""

import textwrap
import traceback
from collections.abc import Iterator
from itertools import islice
from typing import Any

from aliaport.isolation.source_lines import source_line
from aliaport.redaction import shorten

MAX_EXCEPTIONS = 30
"""Exceptions printed of a chain of causes and of the groups in it, taken together."""

MAX_FRAMES = 20
"""Outermost frames printed of each exception."""

MAX_NOTES = 10

_TEXT_LIMIT = 100_000
_NAME_LIMIT = 200
_CAUSED = "\nThe above exception was the direct cause of the following exception:\n\n"
_DURING = "\nDuring handling of the above exception, another exception occurred:\n\n"


def type_name(error: BaseException) -> str:
    """Return the qualified name of the exception's class, without its module."""
    return shorten(_get(type, "__qualname__", type(error)), _NAME_LIMIT)


def raised_trace(error: BaseException) -> Any:
    """Return the exception's own traceback, even if a subclass overrides the attribute."""
    return _get(BaseException, "__traceback__", error)


def message_parts(error: BaseException) -> list[str]:
    """Return `str(error)` and its notes, whatever these raise."""
    notes = dict.get(_get(BaseException, "__dict__", error), "__notes__")
    return [
        _safe_text(part) for part in [error, *(notes if type(notes) is list else ())[:MAX_NOTES]]
    ]


def print_exception(error: BaseException) -> str:
    """Return the traceback of an exception, with its causes, groups and notes."""
    return _Printer().chain(error, 0)


class _Printer:
    def __init__(self) -> None:
        self._seen: set[int] = set()

    def chain(self, error: BaseException | None, depth: int) -> str:
        """Return the text of an exception after that of its causes; of each exception once."""
        texts: list[str] = []
        link = ""
        while error is not None and id(error) not in self._seen:
            if len(self._seen) >= MAX_EXCEPTIONS:
                break
            self._seen.add(id(error))
            texts.append(self._one(error, depth) + _indent(link, depth))
            cause, link = _get(BaseException, "__cause__", error), _CAUSED
            if cause is None and not _get(BaseException, "__suppress_context__", error):
                cause, link = _get(BaseException, "__context__", error), _DURING
            error = cause
        return "".join(reversed(texts))

    def _one(self, error: BaseException, depth: int) -> str:
        own = _indent("".join(_lines(error)), depth)
        if not issubclass(type(error), BaseExceptionGroup):
            return own
        parts = [own]
        for number, member in enumerate(_get(BaseExceptionGroup, "exceptions", error), 1):
            text = self.chain(member, depth + 1)
            if not text:
                break
            parts.append(f"{'  ' * depth}  +---------------- {number} ----------------\n{text}")
        return "".join(parts)


def _lines(error: BaseException) -> Iterator[str]:
    trace = raised_trace(error)
    if trace is not None:
        yield "Traceback (most recent call last):\n"
    for frame, line in islice(traceback.walk_tb(trace), MAX_FRAMES):
        code = frame.f_code
        yield from _position(code.co_filename, line or 0, code.co_name)
    if issubclass(type(error), SyntaxError):
        file, line = (_get(SyntaxError, name, error) for name in ("filename", "lineno"))
        if isinstance(file, str) and type(line) is int:
            yield from _position(file, line, "")
    module, name = _get(type, "__module__", type(error)), type_name(error)
    if isinstance(module, str) and module not in ("builtins", "__main__"):
        name = f"{shorten(module, _NAME_LIMIT)}.{name}"
    text, *notes = message_parts(error)
    yield f"{name}: {text}\n" if text else f"{name}\n"
    for note in notes:
        yield f"{note}\n"


def _position(file: str, line: int, function: str) -> Iterator[str]:
    where = f", in {shorten(function, _NAME_LIMIT)}" if function else ""
    yield f'  File "{shorten(file, _TEXT_LIMIT)}", line {line}{where}\n'
    if source := source_line(file, line):
        yield f"    {shorten(source, _TEXT_LIMIT)}\n"


def _safe_text(value: object) -> str:
    try:
        return shorten(str(value), _TEXT_LIMIT)
    except BaseException:  # a bulkhead: a hostile __str__ must not prevent the report
        return "<its message cannot be read>"


def _indent(text: str, depth: int) -> str:
    margin = f"{'  ' * depth}| " if depth else ""
    return textwrap.indent(text, margin, lambda _: True)


def _get(owner: type, name: str, instance: object) -> Any:
    """Return an attribute as `owner` defines it, whatever the instance's class makes of it."""
    return owner.__dict__[name].__get__(instance)
