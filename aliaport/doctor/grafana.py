"""Checks that Grafana is healthy, reaches Prometheus and has the dashboards.

Written from the documentation of Grafana's HTTP API, and never run against a real Grafana.
"""

import asyncio

from aliaport.doctor.checks import GRAFANA, WITH_GRAFANA_TOKEN, Check, Run
from aliaport.doctor.expected import DASHBOARDS, DATA_SOURCE
from aliaport.doctor.findings import CheckFailed, Finding, passed

PROVISION = "mount deploy/grafana as its README.md describes, and see Grafana's log"
RIGHTS = "allow the token's service account to read dashboards and data sources"


async def is_healthy(run: Run) -> Finding:
    """Check that Grafana and its database work."""
    health = await run.grafana().json("/api/health")
    if health.get("database") == "ok":
        return passed(f"version {health.get('version', 'unknown')}, database ok")
    raise CheckFailed(f"Grafana's database is {health.get('database')!r}", "see Grafana's log")


async def data_source(run: Run) -> Finding:
    """Check that the dashboards' data source exists and reaches Prometheus."""
    endpoint, path = run.grafana(), f"/api/datasources/uid/{DATA_SOURCE}"
    reply = await endpoint.get(path)
    _refused(reply.status, f"the data source {DATA_SOURCE}")
    if reply.status == 404:
        raise CheckFailed(f"there is no data source {DATA_SOURCE}", PROVISION)
    if reply.status != 200:
        raise endpoint.failure(f"{reply.url} responded {reply.status}: {reply.excerpt}")
    kind = endpoint.parsed(reply).get("type")
    if kind != "prometheus":
        raise CheckFailed(f"the data source {DATA_SOURCE} has the type {kind!r}", PROVISION)
    health = await endpoint.get(f"{path}/health")
    _refused(health.status, f"the health of {DATA_SOURCE}")
    body = endpoint.parsed(health)
    if health.status == 200 and body.get("status") == "OK":
        return passed(f"{DATA_SOURCE} reaches Prometheus")
    raise CheckFailed(
        f"{DATA_SOURCE} responded {health.status}: {body.get('message') or health.excerpt}",
        "check that Grafana reaches the address in its data source",
    )


async def dashboards(run: Run) -> Finding:
    """Check that all dashboards exist and have panels; what they show is not checked."""
    states = await asyncio.gather(*(_state(run, uid) for uid in DASHBOARDS))
    missing = [uid for uid, state in zip(DASHBOARDS, states, strict=True) if state]
    if not missing:
        return passed(f"all {len(DASHBOARDS)} exist; what they show was not checked")
    problems = [f"{uid} {state}" for uid, state in zip(DASHBOARDS, states, strict=True) if state]
    raise CheckFailed("; ".join(problems), PROVISION)


async def _state(run: Run, uid: str) -> str:
    endpoint = run.grafana()
    reply = await endpoint.get(f"/api/dashboards/uid/{uid}")
    _refused(reply.status, f"the dashboard {uid}")
    if reply.status == 404:
        return "is missing"
    if reply.status != 200:
        raise endpoint.failure(f"{reply.url} responded {reply.status}: {reply.excerpt}")
    return "" if endpoint.parsed(reply)["dashboard"].get("panels") else "has no panels"


def _refused(status: int, what: str) -> None:
    if status in (401, 403):
        raise CheckFailed(
            f"Grafana responded {status}: the token does not allow reading {what}", RIGHTS
        )


CHECKS = (
    Check("grafana.health", "Grafana is healthy", is_healthy, GRAFANA),
    Check("grafana.data_source", "Grafana reaches Prometheus", data_source, WITH_GRAFANA_TOKEN),
    Check("grafana.dashboards", "Dashboards exist", dashboards, WITH_GRAFANA_TOKEN),
)
