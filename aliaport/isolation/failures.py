"""Describes exceptions, and the current line of a thread or task, as plain, bounded text.

No exception object, frame or traceback leaves the thread of its plugin.
"""

import asyncio
import linecache
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from types import CodeType, FrameType
from typing import Any

from aliaport.redaction import redact, shorten, shorten_lines

MESSAGE_LIMIT = 500
_TRACEBACK_LIMIT = 8_000
_SOURCE_LIMIT = 120
_HOST_MODULES = ("aliaport.", "asyncio", "threading", "selectors", "concurrent.", "importlib")


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

    `package` is the plugin's.
    """
    try:
        text = ": ".join([str(error), *getattr(error, "__notes__", ())])
        message = plain_text(redact(shorten(text, MESSAGE_LIMIT)))
    except BaseException:  # a hostile __str__ must not prevent the report
        message = "<its message cannot be read>"
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    printed = "".join(traceback.format_exception(error, limit=20))
    return Failure(
        type=type(error).__qualname__,
        message=message,
        where=_select_line(frames, package),
        traceback=plain_text(redact(shorten_lines(printed, _TRACEBACK_LIMIT))),
    )


def at_position(where: str) -> str:
    """Return ` (at file:line …)`, or '' if the position is unknown."""
    return f" (at {where})" if where else ""


def plain_text(text: str) -> str:
    """Return `text` as valid UTF-8: lone surrogates become `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")


def thread_position(thread_id: int | None, package: str) -> str:
    """Return the line of plugin code that a running thread executes, or ''."""
    # The only way to see another thread's frame; documented despite its name.
    frame = sys._current_frames().get(thread_id) if thread_id is not None else None  # noqa: SLF001
    frames = [] if frame is None else [(f, f.f_lineno) for f in _outwards(frame)][::-1]
    return _select_line(frames, package)


def task_position(task: "asyncio.Task[Any]", thread_id: int | None, package: str) -> str:
    """Return the line of plugin code at which a task runs or waits, or ''."""
    frames: list[tuple[FrameType, int]] = []
    awaited: Any = task.get_coro()
    while awaited is not None:
        if getattr(awaited, "cr_running", False) or getattr(awaited, "gi_running", False):
            return thread_position(thread_id, package)
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None:
            frames.append((frame, frame.f_lineno))
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return _select_line(frames, package)


def function_position(function: object) -> str:
    """Return the line on which a function is defined, or '' if it has none."""
    while isinstance(function, partial):
        function = function.func
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return ""
    return _line_of(code, code.co_firstlineno, str(getattr(function, "__module__", "")))


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _select_line(frames: list[tuple[FrameType, int]], package: str) -> str:
    """Return the last of `frames` that is plugin code, or else the last third-party one."""
    third_party = ""
    for frame, line in reversed(frames):
        module = str(frame.f_globals.get("__name__", ""))
        if module == package or module.startswith(f"{package}."):
            return _line_of(frame.f_code, line, module)
        if not third_party and not (module == "aliaport" or module.startswith(_HOST_MODULES)):
            third_party = _line_of(frame.f_code, line, module)
    return third_party


def _line_of(code: CodeType, line: int, module: str) -> str:
    parts = PurePath(code.co_filename).parts
    depth = module.count(".") + (2 if parts and parts[-1] == "__init__.py" else 1)
    source = shorten(linecache.getline(code.co_filename, line).strip(), _SOURCE_LIMIT)
    text = f"{'/'.join(parts[-depth:])}:{line} in {code.co_name}"
    return redact(f"{text}: {source}") if source else text
