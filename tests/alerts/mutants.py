"""Small changes to a rule, each of which a test must notice."""

import re
from collections.abc import Iterator
from typing import Any

_COMPARISON = re.compile(r"(?<![=!<>~])(==|!=|>=|<=|>|<)(?![=~])")
_RANGE = re.compile(r"\[(\d+)([smhd])\]")
_DURATION = re.compile(r"(\d+)([smhd])")
_NUMBER = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)(?![\w.])")
_STRING = re.compile(r'"[^"]*"')
_PROTECTED = re.compile(r'"[^"]*"|\[[^\]]*\]')
_OTHERS = {
    "==": ("!=",),
    "!=": ("==",),
    ">": (">=", "<"),
    "<": ("<=", ">"),
    ">=": (">", "<"),
    "<=": ("<", ">"),
}
_MAKES_A_VECTOR = re.compile(r"^.{0,7}\b0 \*|vector\(1")
_HOLDS = ("for", "keep_firing_for")

Text = dict[str, Any]


def mutants(rule: Text) -> Iterator[tuple[str, Text]]:
    """Yield each mutant of a rule, with a description of the change.

    Every comparison, threshold, range and duration is changed. Factors of 0, which only make a
    vector, and strings are left alone.
    """
    expression = rule["expr"]
    for match in _outside_strings(_COMPARISON, expression):
        for other in _others(expression, match):
            yield _with(rule, "expr", match, other)
    for match in _outside_strings(_NUMBER, expression):
        if _MAKES_A_VECTOR.search(expression[max(0, match.start() - 7) : match.end() + 2]):
            continue
        for other in _near(match[1]):
            yield _with(rule, "expr", match, other)
    for match in _RANGE.finditer(expression):
        for factor in (0.5, 2):
            yield _with(rule, "expr", match, f"[{_scaled(match[1], match[2], factor)}]")
    for key in _HOLDS:
        if key in rule:
            duration = _DURATION.fullmatch(rule[key])
            assert duration is not None, f"{rule[key]!r} is not a simple duration"
            for factor in (0.5, 2):
                yield _with(rule, key, duration, _scaled(duration[1], duration[2], factor))
    if "alert" in rule and "for" not in rule:
        yield "for: none -> 5m", {**rule, "for": "5m"}


def _others(expression: str, match: re.Match[str]) -> tuple[str, ...]:
    """Return the replacements of an operator: a label matcher uses `=`, not `==`."""
    before = _STRING.sub("", expression[: match.start()])
    in_selector = before.count("{") > before.count("}")
    return ("=",) if in_selector else _OTHERS[match[1]]


def _outside_strings(pattern: re.Pattern[str], expression: str) -> Iterator[re.Match[str]]:
    blank = _PROTECTED.sub(lambda match: "_" * len(match[0]), expression)
    return pattern.finditer(blank)


def _with(rule: Text, key: str, match: re.Match[str], other: str) -> tuple[str, Text]:
    text = rule[key]
    changed = text[: match.start()] + other + text[match.end() :]
    what = text[max(0, match.start() - 40) : match.end()].replace("\n", " ")
    return f"{key}: …{what} -> {other}", {**rule, key: changed}


def _near(number: str) -> tuple[str, ...]:
    if number == "0":
        # Not 1: an increase by one event is extrapolated to a little more.
        return ("2",)
    if number == "1":
        return ("0", "2")
    if "." not in number and int(number) <= 10:
        return str(int(number) - 1), str(int(number) + 1)
    return f"{float(number) * 0.9:.6g}", f"{float(number) * 1.1:.6g}"


def _scaled(number: str, unit: str, factor: float) -> str:
    seconds = int(number) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit] * factor
    return f"{seconds:.0f}s"
