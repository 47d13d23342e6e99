"""The log of the process: connects structlog's loggers to the writers of the files."""

import atexit
import sys
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import structlog

from aliaport.correlation import REQUEST
from aliaport.isolation.failures import describe
from aliaport.logs.audit import Audit, AuditWriter
from aliaport.logs.entries import IMPORTANCE, LEVELS, Entry
from aliaport.logs.files import LogFile
from aliaport.logs.folder import check_folder, lock_folder, unwritable
from aliaport.logs.lines import LineFormat
from aliaport.logs.requests import AnyEntry, RequestLog
from aliaport.logs.retention import Retention, RetentionLimits
from aliaport.logs.sanitize import sanitize
from aliaport.logs.stdlib import redirect_stdlib_logging
from aliaport.logs.streams import Console, Stream
from aliaport.logs.writer import Writer, opener, write_stderr
from aliaport.plugin import Logger
from aliaport.redaction import shorten
from aliaport.settings import LogSettings

Event = MutableMapping[str, Any]
Processor = Callable[[Any, str, Event], Event]

DATASETS = {
    "app.log": "aliaport.app",
    "api.log": "aliaport.api",
    "error.log": "aliaport.error",
    "audit.log": "aliaport.audit",
}
"""The files, each with the `event.dataset` of its lines. An event goes to exactly one file."""

CLOSE_TIMEOUT = 2.0
"""Maximum seconds that the exit waits for the log."""

MAX_NAME = 1_000
"""Characters of an event's name, which may be a whole sentence."""

MEGABYTE = 1_000_000
_NOTHING: tuple[tuple[()], dict[str, Any]] = ((), {})


class _NullLogger:
    """Called last by structlog, when the event is already queued."""

    def debug(self) -> None:
        """Do nothing."""

    info = warning = error = exception = critical = debug


class Logs:
    """The log of the process; create it once, before anything logs.

    `service` are the fields that every line carries; each of `processors` sees every event first,
    in the thread that logs. Raises StartupError if the folder cannot be written or another
    service writes there.
    """

    def __init__(
        self,
        settings: LogSettings,
        service: Mapping[str, str],
        processors: Sequence[Processor] = (),
    ) -> None:
        folder = settings.folder
        self._lock = lock_folder(folder)
        self.stream = Stream() if settings.stdout or sys.stdout.isatty() else None
        self._console = Console(colors=True) if sys.stdout.isatty() else None
        limits = RetentionLimits(
            dict.fromkeys(DATASETS, settings.keep_days) | {"audit.log": settings.keep_audit_days},
            settings.max_total_mb * MEGABYTE,
        )
        files: dict[str, tuple[LogFile, LineFormat]] = {}
        for name, dataset in DATASETS.items():
            lines = LineFormat(dataset, service)
            file = LogFile(folder / name, opener(lines), settings.rotate_mb * MEGABYTE)
            files[name] = file, lines
            _open(file)
        self._retention = Retention(folder, limits, tuple(DATASETS))
        copy = self._copy if self.stream is not None else None
        hooks: dict[str, Any] = {"copy": copy, "rotated": self._retention.wake}
        self.writers = {
            name: Writer(*files[name], **hooks) for name in ("app.log", "api.log", "error.log")
        }
        # On a terminal, audit events would print the whole configuration.
        copy_audit = copy if self._console is None else None
        self.audit_writer = AuditWriter(*files["audit.log"], **(hooks | {"copy": copy_audit}))
        self.requests = RequestLog(self.writers["api.log"].put)
        self._processors = [*processors, self._enqueue]
        self._wrapper = structlog.make_filtering_bound_logger(LEVELS[settings.level])
        structlog.configure(
            processors=self._processors,
            wrapper_class=self._wrapper,
            logger_factory=lambda *_: _NullLogger(),
            cache_logger_on_first_use=False,
        )
        redirect_stdlib_logging(self.logger(), LEVELS[settings.level])

    def logger(self, **fields: Any) -> Logger:
        """Return a logger whose lines carry `fields`."""
        logger: Logger = structlog.wrap_logger(
            _NullLogger(), processors=self._processors, wrapper_class=self._wrapper, **fields
        ).bind()
        return logger

    def audit(self, **fields: Any) -> Audit:
        """Return an audit log whose lines carry `fields`."""
        return Audit(self.audit_writer, fields)

    def reopen(self) -> None:
        """Reopen the files after they were moved."""
        for writer in self.writers.values():
            writer.reopen()
        self.audit_writer.reopen()

    def flush(self, seconds: float = 2.0) -> bool:
        """Wait up to `seconds` until everything is written; return False if it is not."""
        deadline = time.monotonic() + seconds
        flushing = [writer.flush for writer in self.writers.values()]
        flushed = [
            flush(max(0.0, deadline - time.monotonic()))
            for flush in (*flushing, self.audit_writer.flush)
        ]
        if self.stream is not None:
            self.stream.flush(max(0.0, min(0.5, deadline - time.monotonic())))
        return all(flushed)

    def close(self, seconds: float = CLOSE_TIMEOUT) -> None:
        """Write what is left before the process ends; report what is lost on standard error."""
        if not self.flush(seconds):
            waiting = sum(len(writer.backlog) for writer in self.writers.values())
            write_stderr(f"the log could not be written; {waiting} or more events are lost")

    def flush_at_exit(self) -> None:
        """Write everything when the interpreter exits, and log the exception that ended it."""
        log = self.logger()

        def hook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
            if not isinstance(error, KeyboardInterrupt):
                log.error("service.crashed", exc_info=error)
            sys.__excepthook__(kind, error, trace)

        sys.excepthook = hook
        atexit.register(self.close)

    def _enqueue(self, _logger: Any, method: str, event: Event) -> Any:
        """Queue an event. Last processor in the calling thread; the writer threads do the rest."""
        fields = dict(event)
        name = fields.pop("event", "")
        exc_info = fields.pop("exc_info", None)
        if exc_info:
            _describe(exc_info, fields)
        level = method if method in LEVELS else "error"
        weight = sanitize(fields)
        thread = threading.current_thread().name
        self.writers["error.log" if level == "error" else "app.log"].put(
            Entry(
                time.time_ns(),
                level,
                IMPORTANCE[level],
                shorten(name if type(name) is str else str(name), MAX_NAME),
                fields,
                REQUEST.get(),
                thread,
                weight,
            )
        )
        return _NOTHING

    def _copy(self, entry: AnyEntry, line: bytes) -> None:
        assert self.stream is not None
        console = self._console
        self.stream.put(line.decode() if console is None else console.line(entry))


def check_log_folder(settings: LogSettings) -> None:
    """Raise the StartupError that `Logs` would raise; change nothing."""
    check_folder(settings.folder, DATASETS)


def _describe(exc_info: Any, fields: dict[str, Any]) -> None:
    error = exc_info
    if isinstance(exc_info, tuple):
        error = exc_info[1]
    elif not isinstance(exc_info, BaseException):
        error = sys.exception() if hasattr(sys, "exception") else sys.exc_info()[1]
    if isinstance(error, BaseException):
        failure = describe(error, "")
        fields.setdefault("error.type", failure.type)
        fields.setdefault("error.message", failure.message)
        fields.setdefault("traceback", failure.traceback)


def _open(file: LogFile) -> None:
    try:
        file.open()
    except OSError as error:
        raise unwritable(file.path, error) from None
