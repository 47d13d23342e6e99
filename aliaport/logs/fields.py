"""The fields of a log line and their Elasticsearch types: the Elastic Common Schema and our own.

Code uses short names for fields (`plugin`, `reason`); a line carries the names of the schema. A
field in neither table is stored by its value, numbers as `aliaport.numbers.<name>` and everything
else as text in `labels.<name>`, so that the types of two plugins' fields cannot clash.
"""

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

ECS_VERSION = "9.5.0"

ECS_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "@timestamp": "date",
        "log.level": "keyword",
        "message": "match_only_text",
        "ecs.version": "keyword",
        "event.id": "keyword",
        "event.dataset": "keyword",
        "event.action": "keyword",
        "event.kind": "keyword",
        "event.category": "keyword[]",
        "event.type": "keyword[]",
        "event.outcome": "keyword",
        "event.duration": "long",
        "event.reason": "keyword",
        "service.name": "keyword",
        "service.version": "keyword",
        "service.environment": "keyword",
        "host.name": "keyword",
        "process.pid": "long",
        "process.thread.name": "keyword",
        "log.logger": "keyword",
        "http.request.id": "keyword",
        "http.request.method": "keyword",
        "http.response.status_code": "long",
        "http.response.body.bytes": "long",
        "http.version": "keyword",
        "url.path": "wildcard",
        "client.address": "keyword",
        "client.ip": "ip",
        "user_agent.original": "keyword",
        "user.name": "keyword",
        "trace.id": "keyword",
        "span.id": "keyword",
        "error.type": "keyword",
        "error.message": "match_only_text",
        "error.stack_trace": "wildcard",
    }
)
"""Every field of the Elastic Common Schema that a line may carry, with its type there."""

OWN_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "aliaport.plugin": "keyword",
        "aliaport.distribution": "keyword",
        "aliaport.distribution_version": "keyword",
        "aliaport.probe": "keyword",
        "aliaport.collector": "keyword",
        "aliaport.job": "keyword",
        "aliaport.status": "keyword",
        "aliaport.code": "keyword",
        "aliaport.previous_status": "keyword",
        "aliaport.previous_code": "keyword",
        "aliaport.critical": "boolean",
        "aliaport.stage": "keyword",
        "aliaport.endpoint": "keyword",
        "aliaport.summary": "match_only_text",
        "aliaport.problem": "match_only_text",
        "aliaport.hint": "match_only_text",
        "aliaport.where": "keyword",
        "aliaport.threads": "match_only_text",
        "aliaport.file_id": "keyword",
        "aliaport.padding": "keyword",
    }
)
"""Our own fields with their types in the index template of deploy/elk."""

NUMBERS = "aliaport.numbers."
LABELS = "labels."

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "plugin": "aliaport.plugin",
        "distribution": "aliaport.distribution",
        "distribution_version": "aliaport.distribution_version",
        "probe": "aliaport.probe",
        "collector": "aliaport.collector",
        "job": "aliaport.job",
        "status": "aliaport.status",
        "code": "aliaport.code",
        "previous": "aliaport.previous_status",
        "previous_code": "aliaport.previous_code",
        "critical": "aliaport.critical",
        "stage": "aliaport.stage",
        "summary": "aliaport.summary",
        "problem": "aliaport.problem",
        "hint": "aliaport.hint",
        "where": "aliaport.where",
        "threads": "aliaport.threads",
        "reason": "event.reason",
        "outcome": "event.outcome",
        "traceback": "error.stack_trace",
        "user": "user.name",
        "logger": "log.logger",
    }
)
"""The names of fields in code, mapped to their names in the line."""


@lru_cache(1024)
def is_address(text: str) -> bool:
    """Return whether `text` is an IPv4 or IPv6 address without a zone."""
    try:
        return "%" not in text and bool(ipaddress.ip_address(text))
    except ValueError:
        return False
