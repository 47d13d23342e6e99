"""Divides every duration of rules and configuration, so that hours of alerting pass in minutes."""

import re

FACTOR = 60
LEAST = 1.25
"""Seconds at the least: PostgreSQL's exporter waits for one before it says that all is lost."""
LEAST_RANGE = 4 * LEAST
"""A rate needs several scrapes in its range."""

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_DURATION = r"(?:\d+(?:ms|[smhdwy]))+"
_KEYS = r"for|keep_firing_for|group_wait|(?:\w+_)?interval|(?:\w+_)?timeout"
_PLACES = re.compile(
    rf"""(?P<key>^[ -]*(?:{_KEYS}):\s*)(?P<plain>{_DURATION})(?=\s*(?:\#.*)?$)
    |(?P<bracket>\[)(?P<range>{_DURATION})(?=\]|:)
    |(?P<colon>(?<=[smhdwy]):)(?P<step>{_DURATION})(?=\])
    |(?P<word>\boffset\s+)(?P<offset>{_DURATION})\b""",
    re.MULTILINE | re.VERBOSE,
)


def shorten(text: str) -> str:
    """`text` with shorter durations, and nothing else changed."""
    return _PLACES.sub(_short, text)


def _short(found: re.Match[str]) -> str:
    before, duration = (group for group in found.groups() if group is not None)
    parts = re.findall(r"(\d+)(ms|[smhdwy])", duration)
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in parts) / FACTOR
    least = LEAST_RANGE if found["range"] else LEAST
    return f"{before}{max(least, seconds) * 1000:.0f}ms"
