"""Describes exceptions as plain, bounded text.

No exception object, frame or traceback leaves the thread of its plugin.
"""

from dataclasses import dataclass

from aliaport.isolation.positions import at_position, raised_position
from aliaport.isolation.tracebacks import message_parts, print_exception, raised_trace, type_name
from aliaport.printable import plain_text
from aliaport.redaction import redact, shorten, shorten_lines

MESSAGE_LIMIT = 500
_TRACEBACK_LIMIT = 8_000


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception as text: its type's name, message, plugin line and traceback, all bounded."""

    type: str
    message: str
    where: str
    traceback: str

    def __str__(self) -> str:
        """Return text like `OSError: no such file (at disk/plugin.py:42 in check: statvfs(p))`."""
        at = at_position(self.where)
        return f"{self.type}: {self.message}{at}" if self.message else f"{self.type}{at}"


def describe(error: BaseException, package: str) -> Failure:
    """Return `error` and its notes as text; call it in the thread that raised it.

    `package` is the plugin's. Never raises: of an exception that cannot be printed, the position or
    the traceback is ''.
    """
    where = ""
    try:
        where = raised_position(raised_trace(error), package)
        printed = plain_text(redact(shorten_lines(print_exception(error), _TRACEBACK_LIMIT)))
    except BaseException:  # a bulkhead: a part of the report is better than none
        printed = ""
    message = plain_text(redact(shorten(_joined(message_parts(error)), MESSAGE_LIMIT)))
    return Failure(plain_text(type_name(error)), message, where, printed)


def _joined(parts: list[str]) -> str:
    """Return the parts as one text, without those that a later one repeats."""
    return ": ".join(
        part
        for number, part in enumerate(parts, 1)
        if not any(part in later for later in parts[number:])
    )
