"""Takes secrets and personal data out of everything that is about to be sent."""

import re
from typing import Any

from aliaport.redaction import MASK, is_secret_name, redact

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
"""Fields that tell who somebody is, or hold what a caller typed: left out wherever they are."""

HEADERS = ("accept", "content-length", "content-type")
"""The only request headers whose values are sent."""

UNMATCHED = "unmatched"
"""What the requests that no route matched are called in /metrics too."""

_PROTOCOL_ID = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}", re.ASCII)


def scrub(value: Any, name: str = "") -> Any:
    """Return a copy of an event, or of the value of its field `name`, without what is private."""
    if isinstance(value, str):
        if is_secret_name(name):
            return MASK
        # An id's digits may look like an identity number; Sentry refuses a changed id.
        return value if _PROTOCOL_ID.fullmatch(value) else redact(value)
    if isinstance(value, dict):
        return {key: scrub(each, str(key)) for key, each in value.items() if key not in UNSENT}
    if isinstance(value, list | tuple):
        return [scrub(each, name) for each in value]
    return MASK if value is not None and is_secret_name(name) else value


def scrub_transaction(transaction: Any) -> Any:
    """Scrub a trace as `scrub` does; give the requests that no route matched one name."""
    scrubbed = scrub(transaction)
    method, _, pattern = str(scrubbed.get("transaction", "")).partition(" ")
    if pattern == "None":
        scrubbed["transaction"] = f"{method} {UNMATCHED}"
    return scrubbed
