"""The identity of the request being handled, which every log line carries."""

import random
import re
from contextvars import ContextVar
from typing import NamedTuple

REQUEST_ID_HEADER = "X-Request-ID"
TRACE_HEADER = "traceparent"

_VALID_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?",
    re.ASCII,
)
_seed = random.SystemRandom().getrandbits(64)
_bits = random.Random(_seed).getrandbits  # noqa: S311
_NOT_ZERO = 1 << 128 | 1
"""Sets a bit of the span's ID and one of the trace's: neither may be zero."""


class RequestIdentity(NamedTuple):
    """The IDs of one request, of its trace, and of our span in that trace (W3C Trace Context)."""

    request_id: str
    trace_id: str
    span_id: str
    flags: str = "00"

    @property
    def traceparent(self) -> str:
        """The header that makes our calls and responses part of the trace."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


REQUEST: ContextVar[RequestIdentity | None] = ContextVar("aliaport_request", default=None)
"""The request that the current code serves, inside a plugin's bulkhead too."""


def identify(given_id: str | None, traceparent: str | None) -> RequestIdentity:
    """Return the caller's IDs if they are valid, and new ones otherwise."""
    digits = f"{_bits(192) | _NOT_ZERO:048x}"
    span_id = digits[:16]
    if traceparent is not None and (found := _TRACEPARENT.fullmatch(traceparent)):
        trace_id, flags = found[1], found[3]
    else:
        trace_id, flags = digits[16:], "00"
    if given_id is not None and _VALID_ID.fullmatch(given_id):
        return RequestIdentity(given_id, trace_id, span_id, flags)
    return RequestIdentity(trace_id, trace_id, span_id, flags)
