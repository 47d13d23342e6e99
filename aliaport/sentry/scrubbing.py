"""Removes secrets and personal data from everything that is sent."""

import re
from typing import Any

from aliaport.redaction import MASK, is_secret, redact

UNSENT = frozenset(
    {
        "client",
        "client.address",
        "client.ip",
        "cookies",
        "email",
        "env",
        "http.fragment",
        "http.query",
        "query_string",
        "url.query",
        "user",
        "user.name",
        "user_agent.original",
    }
)
"""Fields that identify a person or contain a caller's input; they are removed everywhere."""

HEADERS = ("accept", "content-length", "content-type")
"""The only request headers whose values are sent."""

UNMATCHED = "unmatched"
"""The name of requests that no route matched, as in /metrics."""

_PROTOCOL_ID = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}", re.ASCII)


def scrub(value: Any, name: str = "") -> Any:
    """Return a copy of an event, or of the value of its field `name`, without private data."""
    if isinstance(value, str):
        if is_secret(name, value):
            return MASK
        # An ID's digits may look like an identity number; Sentry rejects a changed ID.
        return value if _PROTOCOL_ID.fullmatch(value) else redact(value)
    if isinstance(value, dict):
        return {key: scrub(item, str(key)) for key, item in value.items() if key not in UNSENT}
    if isinstance(value, list | tuple):
        return [scrub(item, name) for item in value]
    return MASK if value is not None and is_secret(name, value) else value


def scrub_transaction(transaction: Any) -> Any:
    """Scrub a trace, and use one name for all requests that no route matched."""
    scrubbed = scrub(transaction)
    method, _, pattern = str(scrubbed.get("transaction", "")).partition(" ")
    if pattern == "None":
        scrubbed["transaction"] = f"{method} {UNMATCHED}"
    return scrubbed
