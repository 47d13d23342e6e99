"""Names the line that a thread, a task or a traceback has reached, as plain, bounded text.

The HTTP loop uses it for code that hangs, so it runs no code of a plugin and reads no file.
"""

import asyncio
import sys
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import PurePath
from types import (
    AsyncGeneratorType,
    CodeType,
    CoroutineType,
    FrameType,
    GeneratorType,
    TracebackType,
)
from typing import Any

from aliaport.isolation.source_lines import source_line
from aliaport.printable import plain_text
from aliaport.redaction import redact, shorten

MAX_FRAMES = 1_000
"""Frames searched for a line of the plugin; plugins can raise the limit that Python itself has."""

_SOURCE_LIMIT = 120
_NAME_LIMIT = 200
_PATH_LIMIT = 1_000
_HOST_MODULES = ("aliaport.", "asyncio", "threading", "selectors", "concurrent.", "importlib")

_Line = tuple[FrameType, int | None]


def at_position(where: str) -> str:
    """Return ` (at file:line …)`, or '' if the position is unknown."""
    return f" (at {where})" if where else ""


def thread_position(thread_id: int | None, package: str) -> str:
    """Return the line of plugin code that a running thread executes, or ''."""
    # The only way to see another thread's frame; documented despite its name.
    frame = sys._current_frames().get(thread_id) if thread_id is not None else None  # noqa: SLF001
    return _select_line(((found, found.f_lineno) for found in _outwards(frame)), package)


def task_position(task: "asyncio.Task[Any]", thread_id: int | None, package: str) -> str:
    """Return the line of plugin code at which a task runs or waits, or ''."""
    lines: list[_Line] = []
    awaited: object = task.get_coro()
    for _ in range(MAX_FRAMES):
        # Only Python's own types: attributes of others are a plugin's code, which may block.
        if type(awaited) is CoroutineType:
            running, frame, inner = awaited.cr_running, awaited.cr_frame, awaited.cr_await
        elif type(awaited) is GeneratorType:
            running, frame, inner = awaited.gi_running, awaited.gi_frame, awaited.gi_yieldfrom
        elif type(awaited) is AsyncGeneratorType:
            running, frame, inner = awaited.ag_running, awaited.ag_frame, awaited.ag_await
        else:
            break
        if running:
            return thread_position(thread_id, package)
        if frame is not None:
            lines.append((frame, frame.f_lineno))
        awaited = inner
    return _select_line(reversed(lines), package)


def raised_position(trace: TracebackType | None, package: str) -> str:
    """Return the line of plugin code from which an exception came, or ''."""
    return _select_line(reversed(deque(traceback.walk_tb(trace), MAX_FRAMES)), package)


def function_position(function: object) -> str:
    """Return the line on which a function is defined, or '' if it has none."""
    while isinstance(function, partial):
        function = function.func
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return ""
    return _line_of(code, code.co_firstlineno, _plain(getattr(function, "__module__", "")))


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    for _ in range(MAX_FRAMES):
        if frame is None:
            return
        yield frame
        frame = frame.f_back


def _select_line(lines: Iterable[_Line], package: str) -> str:
    """Return the first of `lines` that is plugin code, or else the first third-party one.

    `lines` begin with the innermost frame.
    """
    third_party: tuple[CodeType, int | None, str] | None = None
    for frame, line in lines:
        module = _plain(dict.get(frame.f_globals, "__name__"))
        if module == package or module.startswith(f"{package}."):
            return _line_of(frame.f_code, line, module)
        of_host = module == "aliaport" or module.startswith(_HOST_MODULES)
        if third_party is None and not of_host:
            third_party = frame.f_code, line, module
    return _line_of(*third_party) if third_party else ""


def _line_of(code: CodeType, line: int | None, module: str) -> str:
    path = str.__getitem__(code.co_filename, slice(-_PATH_LIMIT, None))
    parts = PurePath(path).parts
    depth = module.count(".") + (2 if parts and parts[-1] == "__init__.py" else 1)
    source = shorten(source_line(code.co_filename, line or 0), _SOURCE_LIMIT)
    text = f"{'/'.join(parts[-depth:])}:{line} in {shorten(code.co_name, _NAME_LIMIT)}"
    return plain_text(redact(f"{text}: {source}" if source else text))


def _plain(name: object) -> str:
    """Return the name of a module, or '' if it is not text: its methods are a plugin's code."""
    return name if type(name) is str else ""
