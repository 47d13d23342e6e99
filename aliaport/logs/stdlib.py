"""Sends what libraries log through the standard library's logging to the pipeline."""

import logging
from typing import Any

from aliaport.plugin import Logger

NAME = "stdlib.message"


class _Forward(logging.Handler):
    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except Exception as error:  # a bulkhead: formatting runs code of the arguments
            text = f"{record.msg!r} cannot be formatted: {type(error).__name__}"
        fields: dict[str, Any] = {"logger": record.name, "summary": text}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        if record.levelno >= logging.ERROR:
            self._logger.error(NAME, **fields)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(NAME, **fields)
        elif record.levelno >= logging.INFO:
            self._logger.info(NAME, **fields)
        else:
            self._logger.debug(NAME, **fields)


def redirect_stdlib_logging(logger: Logger, level: int) -> None:
    """Send the root logger's events of `level` and above, and warnings, to `logger`."""
    root = logging.getLogger()
    root.handlers[:] = [_Forward(logger)]
    # The libraries' debug lines are not meant for operators.
    root.setLevel(max(level, logging.INFO))
    logging.captureWarnings(capture=True)
    # aiohttp's access lines would repeat what the service logs itself.
    logging.getLogger("aiohttp.access").propagate = False
