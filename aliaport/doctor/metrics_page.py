"""Checks that Prometheus can scrape /metrics, and that the public cannot read it."""

import re

from aliaport.doctor.checks import Check, Run
from aliaport.doctor.findings import CheckFailed, Finding, not_checked, passed

BUILD_INFO = "aliaport_build_info"
_SAMPLE = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})? (\S+)")


async def page(run: Run) -> Finding:
    """Check status, samples, and the Content-Type, without which Prometheus 3 rejects the page."""
    endpoint = run.service(detailed=True, runbook="TargetDown").without_token()
    reply = await endpoint.get_ok("/metrics")
    kind = reply.headers.get("Content-Type", "")
    if not re.match(r"text/plain; *version=0\.0\.4(;|$)", kind):
        raise endpoint.failure(f"Content-Type is {kind!r} instead of text/plain; version=0.0.4")
    samples = [line for line in reply.text.splitlines() if line and not line.startswith("#")]
    for line in samples:
        if not (found := _SAMPLE.fullmatch(line)) or not _is_number(found[2]):
            raise endpoint.failure(f"not a sample of the text format: {line[:100]}")
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
    """Check that the first of two listeners does not serve /metrics and /status."""
    targets = run.targets
    if not targets.internal_url:
        return not_checked(
            "no second listener was given: anyone who reaches the first can read /metrics and "
            "/status",
            "set ALIAPORT_INTERNAL_PORT, or block both paths for the public in the proxy; "
            "then pass --internal-url",
        )
    endpoint = run.service()
    statuses = {path: (await endpoint.get(path)).status for path in ("/metrics", "/status")}
    seen = ", ".join(f"{path} responds {status}" for path, status in statuses.items())
    if all(status in (401, 403, 404) for status in statuses.values()):
        return passed(f"at {targets.url} {seen}")
    raise CheckFailed(
        f"at {targets.url} {seen}",
        "set ALIAPORT_INTERNAL_PORT and restart the service; then only that port serves them",
    )


CHECKS = (
    Check("service.metrics", "Prometheus can scrape /metrics", page),
    Check("service.metrics_private", "/metrics and /status are not public", private),
)
