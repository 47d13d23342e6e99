"""Standard output: JSON lines for a container's log, readable lines on a terminal."""

import queue
import sys
import threading
from datetime import UTC, datetime
from typing import Any, TextIO

import structlog

from aliaport.logs.requests import AnyEntry
from aliaport.printable import escape_unprintable
from aliaport.redaction import MASK, is_secret, redact

MAX_LINES = 20_000
"""Lines that wait for a stuck reader; further ones are counted as dropped."""


class Stream:
    """Writes lines to standard output in its own thread, which a stuck reader may block."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.dropped = 0
        self._stream = stream or sys.stdout
        self._lines: queue.SimpleQueue[str | threading.Event] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="log-stdout", daemon=True).start()

    def put(self, line: str) -> None:
        """Queue a line with its line feed; never waits."""
        if self._lines.qsize() >= MAX_LINES:
            self.dropped += 1
            return
        self._lines.put(line)

    def flush(self, seconds: float) -> bool:
        """Wait until all lines queued before are written; return False if that takes longer."""
        done = threading.Event()
        self._lines.put(done)
        return done.wait(seconds)

    def _serve(self) -> None:
        while True:
            item = self._lines.get()
            if isinstance(item, threading.Event):
                item.set()
                continue
            try:
                self._stream.write(item)
                if self._lines.empty():
                    self._stream.flush()
            except (OSError, ValueError):
                self.dropped += 1


class Console:
    """Formats readable lines. Control characters are escaped."""

    def __init__(self, *, colors: bool) -> None:
        self._render = structlog.dev.ConsoleRenderer(
            colors=colors, pad_event_to=28, timestamp_key="at"
        )

    def line(self, entry: AnyEntry) -> str:
        """Return the entry as a readable line that ends with a line feed."""
        at = datetime.fromtimestamp(entry.time / 1e9, UTC)
        shown: dict[str, Any] = {
            "at": at.strftime("%H:%M:%S.%f")[:-3],
            "level": entry.level,
            "event": escape_unprintable(redact(entry.name)),
        }
        for name, value in entry.fields.items():
            if value in ("", None) or name.startswith("event."):
                continue
            if is_secret(name, value):
                value = MASK
            elif isinstance(value, str):
                # The renderer itself escapes line feeds, except in an exception.
                value = escape_unprintable(redact(value), keep="\n")
            shown["exception" if name == "traceback" else escape_unprintable(name)] = value
        return f"{self._render(None, '', shown)}\n"
