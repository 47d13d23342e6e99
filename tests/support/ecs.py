"""Checks a line against the Elastic Common Schema: names, types, order."""

import ipaddress
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

from aliaport.logs.fields import LABELS, NUMBERS, OWN_FIELDS

_DATA = Path(__file__).parents[1] / "data"
ECS = json.loads((_DATA / "ecs.json").read_text())["fields"]
SPEC = json.loads((_DATA / "ecs-logging.json").read_text())["fields"]
_FREE = re.compile(r'[^.*\\"\s]+')


def parsed(line: bytes) -> dict[str, Any]:
    """Return the line's fields. Raises AssertionError if the line breaks a rule of the schema."""
    assert line.endswith(b"\n"), line[-80:]
    assert b"\n" not in line[:-1], "one event, one line"
    pairs = json.loads(line.decode("utf-8"), object_pairs_hook=list)
    names = [name for name, _ in pairs]
    assert len(set(names)) == len(names), f"duplicate field: {names}"
    first = sorted((n for n in SPEC if "index" in SPEC[n]), key=lambda n: SPEC[n]["index"])
    assert names[: len(first)] == first
    fields: dict[str, Any] = dict(pairs)
    for name in (n for n in SPEC if SPEC[n]["required"]):
        assert name in fields, f"{name} is missing"
    for name, value in fields.items():
        assert _fits(name, value), f"{name} = {value!r}"
    return fields


def _fits(name: str, value: Any) -> bool:
    if name.startswith(LABELS):
        return isinstance(value, str) and bool(_FREE.fullmatch(name.removeprefix(LABELS)))
    if name.startswith(NUMBERS):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and bool(_FREE.fullmatch(name.removeprefix(NUMBERS)))
    match ECS.get(name) or OWN_FIELDS.get(name):
        case "date":
            return datetime.fromisoformat(value).utcoffset() is not None
        case "keyword" | "wildcard" | "match_only_text":
            return isinstance(value, str)
        case "keyword[]":
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
        case "long":
            return type(value) is int and -(2**63) <= value < 2**63
        case "boolean":
            return isinstance(value, bool)
        case "ip":
            return bool(ipaddress.ip_address(value))
    return False
