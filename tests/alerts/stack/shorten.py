"""Shortens every duration of rules and configuration: hours of alerting pass in minutes."""

import re

FACTOR = 60
MIN_SECONDS = 1.25
"""PostgreSQL exporter waits for a second before it reports that all is lost."""
MIN_RANGE = 4 * MIN_SECONDS
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
    """Return `text` with shorter durations, otherwise unchanged."""
    return _PLACES.sub(_short, text)


def _short(found: re.Match[str]) -> str:
    before, duration = (group for group in found.groups() if group is not None)
    parts = re.findall(r"(\d+)(ms|[smhdwy])", duration)
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in parts) / FACTOR
    shortest = MIN_RANGE if found["range"] else MIN_SECONDS
    return f"{before}{max(shortest, seconds) * 1000:.0f}ms"
