"""The log pipeline: structlog and the standard library's logging, as JSON lines and on a terminal.

`processors` is the seam for what else should see each event before it is written.
"""

import json
import logging
import os
import sys
from collections.abc import Callable, MutableMapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import structlog

from aliaport.log_sinks import FileSink, Sink, stream_sink
from aliaport.redaction import redact

Event = MutableMapping[str, Any]
Processor = Callable[[Any, str, Event], Event]

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
FILE_NAME = "app.log"


class Logs:
    """The open log. Make one per process, before anything that logs.

    `level` is one of LEVELS, `service` the fields that every line carries. Raises StartupError
    where `folder` cannot be written; what fails later is counted in `lost` and told on standard
    error.
    """

    def __init__(
        self,
        folder: Path,
        level: str,
        service: dict[str, str],
        processors: Sequence[Processor] = (),
    ) -> None:
        self._file = FileSink(folder / FILE_NAME)
        self._terminal = sys.stdout.isatty()
        self._stream = stream_sink()
        self._console = structlog.dev.ConsoleRenderer(
            colors=self._terminal, pad_event_to=28, timestamp_key="@timestamp"
        )
        self._service = {**service, "process.pid": os.getpid()}
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.format_exc_info,
                _redact,
                *processors,
                self._emit,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
            logger_factory=structlog.ReturnLoggerFactory(),
            cache_logger_on_first_use=False,
        )
        _take_over_standard_logging(LEVELS[level])

    @property
    def lost(self) -> int:
        """Lines of the log file that could not be written."""
        return self._file.lost

    def logger(self, **fields: Any) -> Any:
        """A structlog logger whose lines carry `fields`."""
        return structlog.get_logger(**fields)

    def reopen(self) -> None:
        """Open the log file anew, after it was moved away."""
        self._file.reopen()

    def flush(self, seconds: float = 1.0) -> None:
        """Wait, at most so long, until all lines are written."""
        sinks: list[Sink] = [self._file, self._stream]
        for sink in sinks:
            sink.flush(seconds / len(sinks))

    def _emit(self, _logger: Any, _method: str, event: Event) -> Event:
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {
            "@timestamp": time,
            "log.level": event.pop("level", "info"),
            "message": str(event.pop("event", "")),
            **self._service,
            **event,
        }
        text = to_json(line)
        self._file.put(text)
        if self._terminal:
            text = str(
                self._console(
                    None,
                    "",
                    {
                        "@timestamp": time[11:23],
                        "level": line["log.level"],
                        "event": line["message"],
                    }
                    | {key: value for key, value in event.items() if value not in ("", None)},
                )
            )
        self._stream.put(text)
        raise structlog.DropEvent


def to_json(line: dict[str, Any]) -> str:
    """One event as one line of JSON, whatever its values are."""
    try:
        return orjson.dumps(line, default=_text, option=orjson.OPT_NON_STR_KEYS).decode()
    except (TypeError, ValueError, RecursionError):  # lone surrogates, numbers beyond 64 bits
        return json.dumps({str(key): _text(value) for key, value in line.items()})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)[:1000]


def _redact(_logger: Any, _method: str, event: Event) -> Event:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = redact(value)
    return event


class _Forward(logging.Handler):
    """Brings the records of libraries into the one pipeline."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= 40 else "warning" if record.levelno >= 30 else "info"
        fields: dict[str, Any] = {"log.logger": record.name}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        getattr(structlog.get_logger(), level)(record.getMessage(), **fields)


def _take_over_standard_logging(level: int) -> None:
    root = logging.getLogger()
    root.handlers[:] = [_Forward()]
    root.setLevel(max(level, logging.INFO))
    logging.captureWarnings(capture=True)
    # aiohttp's access lines would repeat what the service counts and logs itself.
    logging.getLogger("aiohttp.access").propagate = False
