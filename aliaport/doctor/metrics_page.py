"""Checks that Prometheus can scrape /metrics, and that the public cannot read it."""

import re

from aliaport.doctor.checks import Check, Run
from aliaport.doctor.findings import CheckFailed, Finding, not_checked, passed
from aliaport.doctor.http import MAX_EXCERPT
from aliaport.redaction import shorten

BUILD_INFO = "aliaport_build_info"
_SAMPLE = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})? (\S+)")


SPELLINGS = (
    "/metrics/",
    "/%6detrics",
    "//metrics",
    "/./metrics",
    "/x/../metrics",
    "/METRICS",
    "/metrics;x",
    "/status/",
    "/%73tatus",
    "//status",
    "/./status",
    "/x/../status",
    "/STATUS",
    "/status;x",
    "/status/log/",
    "/status/%6cog",
)
"""Other spellings of these paths, which a proxy's rule may overlook."""

_HIDDEN = (400, 401, 403, 404)


async def page(run: Run) -> Finding:
    """Check status, samples, and the Content-Type, without which Prometheus 3 rejects the page."""
    endpoint = run.service(detailed=True, runbook="TargetDown")
    anonymous = endpoint.without_token()
    if (await anonymous.get("/metrics")).status != 401:
        endpoint = anonymous
    elif not endpoint.token:
        return not_checked("/metrics requires a token; pass --status-token-file")
    reply = await endpoint.get_ok("/metrics")
    kind = reply.headers.get("Content-Type", "")
    if not re.match(r"text/plain; *version=0\.0\.4(;|$)", kind):
        raise endpoint.failure(f"Content-Type is {kind!r} instead of text/plain; version=0.0.4")
    samples = [line for line in reply.text.split("\n") if line and not line.startswith("#")]
    for line in samples:
        if not (found := _SAMPLE.fullmatch(line)) or not _is_number(found[2]):
            raise endpoint.failure(f"not a sample of the text format: {shorten(line, MAX_EXCERPT)}")
    if not any(line.startswith(BUILD_INFO) for line in samples):
        raise endpoint.failure(f"{BUILD_INFO} is missing: this is not a page of Aliaport")
    return passed(f"{len(samples)} samples in text format 0.0.4")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


async def private(run: Run) -> Finding:
    """Check that the first of two listeners serves /metrics and /status in no spelling."""
    targets = run.targets
    if not targets.internal_url:
        return not_checked(
            "no second listener was given: anyone who reaches the first can read /metrics and "
            "/status",
            "set ALIAPORT_INTERNAL_PORT, or block both paths for the public in the proxy; "
            "then pass --internal-url",
        )
    endpoint = run.service()
    # The service's own probe `log` always exists.
    paths = ("/metrics", "/status", "/status/log", *SPELLINGS)
    statuses = {path: (await endpoint.get_verbatim(path)).status for path in paths}
    shown = [path for path, status in statuses.items() if status not in _HIDDEN]
    if not shown:
        found = ", ".join(map(str, sorted(set(statuses.values()))))
        return passed(f"at {targets.url} {len(paths)} spellings of them respond {found}")
    seen = ", ".join(f"{path} responds {statuses[path]}" for path in shown)
    raise CheckFailed(
        f"at {targets.url} {seen}",
        "set ALIAPORT_INTERNAL_PORT and restart the service; then only that port serves them",
    )


CHECKS = (
    Check("service.metrics", "Prometheus can scrape /metrics", page),
    Check("service.metrics_private", "/metrics and /status are not public", private),
)
