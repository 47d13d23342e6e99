"""The logger of commands that run plugins without the service: lines on standard error."""

import logging
import sys
from typing import Any

import structlog

from aliaport.plugin import Logger


def terminal_logger(level: int = logging.INFO, **fields: Any) -> Logger:
    """Return a logger whose lines carry `fields`; levels below `level` are left out."""
    logger: Logger = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        **fields,
    )
    return logger
