"""Lines of source code, kept in memory: the HTTP loop never reads a file to name a line."""

import asyncio
import sys
import threading
from importlib.util import decode_source
from pathlib import Path
from types import ModuleType

from aliaport.regular_files import read_regular

MAX_FILE_BYTES = 1_000_000
"""Size of the largest file that is read; code of a person is smaller."""

MAX_KEPT_BYTES = 20_000_000
"""Size of all files whose lines are kept; that of all bundled plugins is 0.3 MB."""

_kept: dict[str, list[str]] = {}
_kept_bytes = 0


def keep_lines(package: str) -> None:
    """Read the source of the modules of `package` that are imported; call it in its own thread."""
    for name, module in list(sys.modules.items()):
        # Other modules, and names that are not text, may be another plugin's code.
        if type(name) is str and (name == package or name.startswith(f"{package}.")):
            file = module.__dict__.get("__file__") if isinstance(module, ModuleType) else None
            if isinstance(file, str):
                _read(file)


def source_line(file: str, number: int) -> str:
    """Return a line without the blanks around it, or '' if it is unknown.

    On the HTTP loop, only lines that are kept are known. In other threads, the file is read if it
    is a regular one of up to `MAX_FILE_BYTES`: another would block the thread, or never end.
    """
    if type(file) is not str:  # the methods of a subclass are a plugin's code
        return ""
    lines = _kept.get(file)
    if lines is None:
        lines = [] if _on_http_loop() else _read(file)
    return lines[number - 1].strip() if 0 < number <= len(lines) else ""


def _on_http_loop() -> bool:
    if threading.current_thread() is not threading.main_thread():
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _read(file: str) -> list[str]:
    global _kept_bytes
    try:
        content = read_regular(Path(file), MAX_FILE_BYTES)
        lines = decode_source(content).split("\n")
    # ValueError is of a name or content that is not valid UTF-8, the others of a wrong encoding.
    except (OSError, ValueError, SyntaxError, LookupError):
        return []
    if file not in _kept and _kept_bytes + len(content) <= MAX_KEPT_BYTES:
        _kept_bytes += len(content)
        _kept[file] = lines
    return lines
