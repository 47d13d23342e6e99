"""Who asked: the identity of the request that is being answered, for every line that is logged."""

import random
import re
from contextvars import ContextVar
from dataclasses import dataclass

REQUEST_ID_HEADER = "X-Request-ID"
TRACE_HEADER = "traceparent"

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?",
    re.ASCII,
)
_dice = random.SystemRandom().getrandbits(64)
_bits = random.Random(_dice).getrandbits  # noqa: S311


@dataclass(frozen=True, slots=True)
class RequestIdentity:
    """One request: its own id, and those of the trace and of our span in it (W3C Trace Context)."""

    request_id: str
    trace_id: str
    span_id: str
    flags: str = "00"

    @property
    def traceparent(self) -> str:
        """The header by which what we call or answer joins the trace."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


REQUEST: ContextVar[RequestIdentity | None] = ContextVar("aliaport_request", default=None)
"""The request on whose behalf the present code runs, also inside a plugin's bulkhead."""


def identify(given_id: str | None, traceparent: str | None) -> RequestIdentity:
    """Accept the caller's ids where they are sane, and make the missing ones."""
    span_id = f"{_bits(64) | 1:016x}"
    if traceparent is not None and (found := _TRACEPARENT.fullmatch(traceparent)):
        trace_id, flags = found[1], found[3]
    else:
        trace_id, flags = f"{_bits(128) | 1:032x}", "00"
    if given_id is not None and _SANE_ID.fullmatch(given_id):
        return RequestIdentity(given_id, trace_id, span_id, flags)
    return RequestIdentity(trace_id, trace_id, span_id, flags)
