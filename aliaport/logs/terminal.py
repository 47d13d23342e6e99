"""The logger of commands that run plugins without the service: lines on standard error."""

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict

from aliaport.plugin import Logger
from aliaport.printable import escape_unprintable
from aliaport.redaction import MASK, is_secret, redact


def terminal_logger(level: int = logging.INFO, **fields: Any) -> Logger:
    """Return a logger whose lines carry `fields`; drops levels below `level` and empty fields."""
    logger: Logger = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[
            _prepare_fields,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            _make_safe,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        **fields,
    )
    return logger


def _prepare_fields(_logger: Any, _method: str, fields: EventDict) -> EventDict:
    """Drop empty fields, and let the renderer print a traceback as it prints an exception."""
    shown = {name: value for name, value in fields.items() if value not in ("", None)}
    if "traceback" in shown:
        shown["exception"] = str(shown.pop("traceback")).rstrip("\n")
    return shown


def _make_safe(_logger: Any, _method: str, fields: EventDict) -> EventDict:
    """Mask secrets, and escape what a terminal would obey."""
    return {
        escape_unprintable(name): MASK
        if is_secret(name, value)
        # The renderer itself escapes line feeds, except in an exception.
        else escape_unprintable(redact(value), keep="" if name == "event" else "\n")
        if isinstance(value, str)
        else value
        for name, value in fields.items()
    }
