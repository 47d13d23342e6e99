"""Parses tracebacks from the plugins' threads into Sentry's stack traces.

No exception leaves the thread of its plugin (see `aliaport.isolation.failures`), so what a probe, a
job or a handler raised is available only as text.
"""

import re
from typing import Any

_HEADER = "Traceback (most recent call last):"
_FRAME = re.compile(r'\s*File "(.+)", line (\d+), in (.+)')
_ERROR = re.compile(r"([A-Za-z_][\w.]*)(?:: (.*))?")
_GROUP_MARGIN = re.compile(r"(?m)^ *\| ")


def read_traceback(text: str) -> dict[str, Any] | None:
    """Return the last exception of a printed traceback in Sentry's format, if there is one."""
    block = _GROUP_MARGIN.sub("", text).rpartition(_HEADER)[2]
    frames: list[dict[str, Any]] = []
    lines = block.splitlines()
    for number, line in enumerate(lines):
        if found := _FRAME.fullmatch(line):
            frames.append(_frame(found[1], int(found[2]), found[3]))
        elif frames and (error := _ERROR.fullmatch(line)):
            module, _, name = error[1].rpartition(".")
            message = "\n".join([error[2] or "", *lines[number + 1 :]]).strip()
            return {
                "type": name,
                "value": message,
                **({"module": module} if module else {}),
                "mechanism": {"type": "aliaport", "handled": True},
                "stacktrace": {"frames": frames},
            }
        elif frames and line.startswith("    ") and "context_line" not in frames[-1]:
            frames[-1]["context_line"] = line.strip()
    return None


def is_ours(path: str) -> bool:
    """Return whether a source file belongs to the service or a plugin rather than a library."""
    _, installed, below = path.rpartition("/site-packages/")
    if installed:
        return below.startswith("aliaport")
    return "/lib/python3" not in path and not path.startswith("<")


def _frame(path: str, line: int, function: str) -> dict[str, Any]:
    return {
        "abs_path": path,
        "filename": "/".join(path.split("/")[-2:]),
        "lineno": line,
        "function": function,
        "in_app": is_ours(path),
    }
