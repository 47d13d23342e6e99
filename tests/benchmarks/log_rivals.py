"""One logging set-up in a separate process: the cost of an event for its caller, and what reaches disk.

Prints JSON: microseconds on the calling thread for one event (the median of bursts), and events per
second from the first call until the last line is in the file.
"""

import json
import logging
import logging.handlers
import queue
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

FIELDS = {
    "plugin": "db",
    "probe": "database",
    "status": "healthy",
    "code": "ok",
    "critical": True,
    "running_s": 0.25,
    "summary": "PostgreSQL 16.2, primary, 0.31 ms",
}
BURST, BURSTS, MANY = 1_000, 60, 90_000

Log = Callable[[], object]
Finish = Callable[[], object]


def ours(folder: Path) -> tuple[Log, Finish]:
    from aliaport.logs import Logs
    from aliaport.settings import LogSettings

    settings = LogSettings(folder=folder, rotate_mb=10_000)
    logs = Logs(settings, {"service.name": "x", "service.version": "1"})
    log = logs.logger(distribution="aliaport-db")
    return lambda: log.info("probe.changed", **FIELDS), lambda: logs.flush(120)


def standard(folder: Path) -> tuple[Log, Finish]:
    """Return the standard library's QueueHandler with python-json-logger."""
    from pythonjsonlogger.orjson import OrjsonFormatter

    handler = logging.FileHandler(folder / "app.log")
    handler.setFormatter(OrjsonFormatter("%(asctime)s %(levelname)s %(message)s"))
    entries: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(entries, handler)
    listener.start()
    log = logging.getLogger("bench")
    log.setLevel(logging.INFO)
    log.addHandler(logging.handlers.QueueHandler(entries))
    return lambda: log.info("probe.changed", extra=FIELDS), listener.stop


def structlog_direct(folder: Path) -> tuple[Log, Finish]:
    """Return structlog's documented fastest set-up, which writes in the calling thread."""
    import orjson
    import structlog

    stream = (folder / "app.log").open("wb")
    structlog.configure(
        cache_logger_on_first_use=True,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        logger_factory=structlog.BytesLoggerFactory(stream),
    )
    log = structlog.get_logger(distribution="aliaport-db").bind()
    return lambda: log.info("probe.changed", **FIELDS), stream.close


def main(name: str, folder: Path) -> None:
    log, finish = {"ours": ours, "standard": standard, "structlog": structlog_direct}[name](folder)
    costs = []
    for _ in range(BURSTS):
        time.sleep(0.06)
        began = time.perf_counter()
        for _ in range(BURST):
            log()
        costs.append((time.perf_counter() - began) / BURST * 1e6)
    began = time.perf_counter()
    for _ in range(MANY):
        log()
    finish()
    seconds = time.perf_counter() - began
    written = (folder / "app.log").read_bytes().count(b"\n")
    print(json.dumps({
        "caller_us": statistics.median(costs), "per_second": MANY / seconds,
        "missing": max(0, BURST * BURSTS + MANY - written),
    }))  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
