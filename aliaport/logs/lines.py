"""Turns entries into JSON lines in the Elastic Common Schema; runs in the writer threads."""

import itertools
import json
import math
import os
import secrets
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from aliaport.logs.entries import Entry
from aliaport.logs.fields import (
    ECS_FIELDS,
    ECS_VERSION,
    LABELS,
    NAMES,
    NUMBERS,
    OWN_FIELDS,
    is_address,
)
from aliaport.logs.requests import AnyEntry, RequestEntry
from aliaport.redaction import MASK, is_secret, redact

UNWRITABLE = "log.unwritable"
"""The event that replaces one that could not be turned into a line."""

_TYPES = {**ECS_FIELDS, **OWN_FIELDS}


class LineFormat:
    """Formats the lines of one file, with its `event.dataset`; use it in one thread at a time."""

    def __init__(self, dataset: str, service: Mapping[str, str]) -> None:
        self._constant = {
            "event.dataset": dataset,
            **service,
            "host.name": socket.gethostname(),
            "process.pid": os.getpid(),
        }
        self._constant_json = orjson.dumps(self._constant).decode()[1:-1]
        self._run = secrets.token_hex(8)
        self._numbers = itertools.count()
        self._second = -1
        self._second_text = ""

    def line(self, entry: AnyEntry) -> bytes:
        """Return the entry as one line that ends with a line feed."""
        try:
            if type(entry) is RequestEntry:
                return self._request_line(entry)
            return self._event_line(entry)
        except Exception as error:  # a bulkhead: one bad entry must not lose the others
            fields = {"of": entry.name, "problem": f"{type(error).__name__}: {error}"}
            return self._event_line(
                Entry(entry.time, entry.level, entry.importance, UNWRITABLE, fields, entry.request)
            )

    def _event_line(self, entry: AnyEntry) -> bytes:
        name = redact(entry.name)
        line: dict[str, Any] = {
            "@timestamp": self._timestamp(entry.time),
            "log.level": entry.level,
            "message": name,
            "ecs.version": ECS_VERSION,
            "event.id": f"{self._run}-{next(self._numbers):x}",
            **self._constant,
            "event.action": name,
        }
        if entry.thread:
            line["process.thread.name"] = entry.thread
        request = entry.request
        if request is not None:
            line["http.request.id"] = request.request_id
            line["trace.id"] = request.trace_id
            line["span.id"] = request.span_id
        for name, value in entry.fields.items():
            if value is not None and value != "":
                _put(line, name, value)
        try:
            return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        except orjson.JSONEncodeError:  # lone surrogates, or numbers beyond 64 bits
            text = json.dumps(line, ensure_ascii=False, default=str, allow_nan=False)
            return text.encode("utf-8", "replace") + b"\n"

    def _request_line(self, entry: RequestEntry) -> bytes:
        return (
            f'{{"@timestamp":"{self._timestamp(entry.time)}","log.level":"info",'
            f'"message":"{entry.name}","ecs.version":"{ECS_VERSION}",'
            f'"event.id":"{self._run}-{next(self._numbers):x}",{self._constant_json},'
            f'"event.action":"{entry.name}",{entry.as_json()}}}\n'
        ).encode()

    def _timestamp(self, nanoseconds: int) -> str:
        second, rest = divmod(nanoseconds, 1_000_000_000)
        if second != self._second:
            self._second = second
            self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._second_text}.{rest // 1_000:06d}Z"


def _put(line: dict[str, Any], name: str, value: Any) -> None:
    if is_secret(name, value):
        value = MASK
    elif type(value) is str:
        value = redact(value)
    elif type(value) is int and value.bit_length() > 63:
        bits = value.bit_length()
        value = f"an integer of {bits} bits" if bits > 900 else float(value)
    target, kind = _target(name)
    if target in line:
        kind = ""  # no field may overwrite what the host reports about itself
    if target == "client.address" and is_address(str(value)):
        line["client.ip"] = value
    match kind:
        case "keyword" | "match_only_text" | "wildcard":
            line[target] = value if type(value) is str else str(value)
            return
        case "long" if type(value) is int and -(2**63) <= value < 2**63:
            line[target] = value
            return
        case "boolean" if type(value) is bool:
            line[target] = value
            return
        case "keyword[]" if type(value) is str:
            line[target] = [value]
            return
        case "ip" if type(value) is str and is_address(value):
            line[target] = value
            return
    free = _free_name(name)
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        line[NUMBERS + free] = value
    else:
        line[LABELS + free] = str(value).lower() if type(value) in (bool, float) else value


@lru_cache(4096)
def _target(name: str) -> tuple[str, str]:
    """Return a field's name in the line, and its type or '' if it is in neither table."""
    target = NAMES.get(name, name)
    return target, _TYPES.get(target, "")


@lru_cache(4096)
def _free_name(name: str) -> str:
    """Return a name that Elasticsearch reads as one field, not as a path."""
    return "".join(
        character if character.isprintable() and character not in ' .*\\"' else "_"
        for character in name[:100]
    )
