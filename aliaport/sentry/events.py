"""Turns logged events into Sentry's events: title, tags, context and grouping."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aliaport.correlation import REQUEST
from aliaport.redaction import MASK, is_secret, shorten
from aliaport.sentry.scrubbing import UNSENT
from aliaport.sentry.tracebacks import read_traceback

TAGS: Mapping[str, str] = {
    "plugin": "plugin",
    "distribution": "distribution",
    "distribution_version": "distribution_version",
    "probe": "probe",
    "job": "job",
    "collector": "collector",
    "status": "status",
    "code": "code",
    "stage": "stage",
    "endpoint": "endpoint",
    "http.request.method": "method",
    "http.request.id": "request_id",
    "trace.id": "trace_id",
}
"""The fields that become tags, which Sentry can search and filter, with the tags' names."""

SUBJECTS = ("probe", "job", "collector")
LOGGER_FIELDS = ("log.logger", "logger")
NOT_FIELDS = frozenset({"event", "exc_info", "traceback", "stack_info", *LOGGER_FIELDS})
MAX_FIELDS = 64
TAG_LIMIT = 200
VALUE_LIMIT = 8_192
"""Characters: longer tags go to the context, and longer values of the context are cut."""

LEVELS: Mapping[str, str] = {"error": "error", "exception": "error", "critical": "fatal"}
"""The logger methods that report errors, with Sentry's levels."""

_PROBE_LEVELS: Mapping[object, str] = {"degraded": "warning", "unhealthy": "error"}


def sentry_level(method: str, event: Mapping[str, Any]) -> str:
    """Return the level at which an event is sent, or '' if it is not sent."""
    if event.get("audit"):
        return ""
    if event.get("event") == "probe.changed":
        if event.get("code") == "error":  # sent as probe.raised, which has the exception
            return ""
        return _PROBE_LEVELS.get(event.get("status"), "")
    return LEVELS.get(method, "")


def recovery(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the breadcrumb of a probe that is healthy again, None for all other events."""
    if event.get("event") != "probe.changed" or event.get("status") != "healthy":
        return None
    if event.get("previous") is None:
        return None
    data = {name: _plain(event[name]) for name in ("plugin", "probe", "previous") if name in event}
    return {
        "timestamp": datetime.now(UTC),
        "category": "probe",
        "level": "info",
        "message": "probe.changed: healthy",
        "data": data,
    }


def raised(exc_info: Any) -> BaseException | None:
    """Return the exception that the `exc_info` of a log call refers to."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if len(exc_info) > 1 else None
    return sys.exc_info()[1] if exc_info else None


def printed(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the exception that an event carries as text, in Sentry's format."""
    text = event.get("traceback")
    return read_traceback(text) if isinstance(text, str) else None


def fingerprint(event: Mapping[str, Any], exception_type: str) -> list[str]:
    """Return the fingerprint that groups events into issues.

    It consists of the event's name, the plugin, the exception's type and any probe, job or
    collector. Messages of libraries are free text, which Sentry's own grouping handles better.
    """
    name = "{{ default }}" if logger_name(event) else str(event.get("event", ""))
    subjects = [str(event[field]) for field in SUBJECTS if event.get(field)]
    return [name, str(event.get("plugin", "")), exception_type, *subjects]


def logger_name(event: Mapping[str, Any]) -> str:
    """Return the name of the library's logger that logged the event, or ''."""
    return next((str(event[field]) for field in LOGGER_FIELDS if event.get(field)), "")


def make_event(
    event: Mapping[str, Any], level: str, grouping: list[str], exceptions: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return Sentry's event. `exceptions` are in Sentry's format, the outermost one last."""
    name, logger = shorten(str(event.get("event", "")), VALUE_LIMIT), logger_name(event)
    summary = event.get("summary") if logger else None
    tags = {"event": shorten(name, TAG_LIMIT)}
    context: dict[str, Any] = {}
    for field, value in _with_request(event).items():
        if field in NOT_FIELDS or field in UNSENT or value is None or value == "":
            continue
        tag, plain = TAGS.get(field), MASK if is_secret(field, value) else _plain(value)
        if tag and len(str(plain)) <= TAG_LIMIT:
            tags[tag] = str(plain)
        elif len(context) < MAX_FIELDS:
            context[field] = plain
    return {
        "level": level,
        "message": shorten(str(summary or name), VALUE_LIMIT),
        "logger": logger or "aliaport",
        "fingerprint": grouping,
        "tags": tags,
        **({"contexts": {"aliaport": context}} if context else {}),
        **({"exception": {"values": exceptions}} if exceptions else {}),
    }


def _with_request(event: Mapping[str, Any]) -> Mapping[str, Any]:
    request = REQUEST.get()
    if request is None:
        return event
    return {"http.request.id": request.request_id, "trace.id": request.trace_id, **event}


def _plain(value: Any) -> Any:
    if isinstance(value, bool | float) or (isinstance(value, int) and value.bit_length() < 53):
        return value
    return shorten(str(value), VALUE_LIMIT)
