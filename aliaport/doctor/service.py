"""Checks that the service responds correctly and fast enough."""

import math
from datetime import UTC, datetime
from typing import Any

from aliaport import SERVICE
from aliaport.doctor.checks import Check, Run
from aliaport.doctor.findings import CheckFailed, Finding, passed
from aliaport.doctor.http import Reply

SAMPLES = 20
BASELINE = 0.05
"""Seconds: the specification's baseline for the p95 of GET /health."""

MAX_SKEW = 2.0
_HEALTH_KEYS = {"status", "service", "version", "timestamp"}


async def health(run: Run) -> Finding:
    """Check for status 200 and the body that the specification defines."""
    endpoint = run.service()
    reply = await endpoint.get_ok("/health")
    body = endpoint.parsed(reply)
    if not isinstance(body, dict) or not body.keys() >= _HEALTH_KEYS:
        raise endpoint.failure(
            f"{reply.url} responded 200, but not as Aliaport does: {reply.excerpt}"
        )
    if body["service"] != SERVICE or body["status"] != "healthy":
        raise endpoint.failure(f"{reply.url} belongs to another service: {reply.excerpt}")
    return passed(f"200, version {body['version']}")


async def ready(run: Run) -> Finding:
    """Check for status 200; otherwise name the failing probe."""
    endpoint = run.service()
    reply = await endpoint.get("/ready")
    body = endpoint.parsed(reply)
    data: dict[str, Any] = body["data"]
    if reply.status == 200 and data["status"] == "ready":
        probes = [f"{name} {word}" for name, word in data.items() if name not in _NOT_PROBES]
        return passed(f"200, {', '.join(probes) or 'no critical probes'}")
    error = body.get("error", {})
    raise CheckFailed(
        f"{reply.status}, {error.get('code', 'no code')}: {error.get('message', reply.excerpt)}",
        "see what these probes report in /status, and fix what they check",
        "AliaportNotReady",
    )


_NOT_PROBES = ("status", "timestamp", "omitted")


async def latency(run: Run) -> Finding:
    """Measure the p95 of /health from where doctor runs."""
    endpoint = run.service()
    seconds = sorted([(await endpoint.get_ok("/health")).seconds for _ in range(SAMPLES)])
    p95 = seconds[math.ceil(0.95 * SAMPLES) - 1]
    seen = (
        f"p95 of {SAMPLES} requests {p95 * 1000:.1f} ms, median "
        f"{seconds[SAMPLES // 2] * 1000:.1f} ms, measured from here"
    )
    if p95 < BASELINE:
        return passed(seen)
    raise CheckFailed(
        f"{seen}; the baseline is {BASELINE * 1000:.0f} ms",
        "run doctor on the service's machine to exclude the network; if still slow, find the cause",
        "HighResponseTime",
    )


async def clock(run: Run) -> Finding:
    """Compare the service's clock with this machine's, as exactly as whole seconds allow."""
    endpoint = run.service()
    reply = await endpoint.get_ok("/health")
    skew = _min_skew(reply, endpoint.parsed(reply)["timestamp"])
    if abs(skew) < MAX_SKEW:
        return passed(f"within {MAX_SKEW:g} s of this machine's clock")
    way = "ahead of" if skew > 0 else "behind"
    raise CheckFailed(
        f"at least {abs(skew):.1f} s {way} this machine's clock",
        "synchronise both machines by NTP; see `timedatectl` and `chronyc tracking`",
        "ClockSkewed",
    )


def _min_skew(reply: Reply, timestamp: str) -> float:
    """Return the smallest possible skew in seconds: the timestamp has no fraction."""
    stated = datetime.strptime(timestamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    earliest, latest = stated - reply.received, stated + 1 - reply.sent
    return 0.0 if earliest <= 0 <= latest else min(earliest, latest, key=abs)


LATENCY = Check("service.latency", "/health is fast: p95 below 50 ms", latency)
CHECKS = (
    Check("service.health", "/health responds 200", health),
    Check("service.ready", "/ready responds 200", ready),
    LATENCY,
    Check("service.clock", "Clocks agree within 2 s", clock),
)
