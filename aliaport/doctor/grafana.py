"""Is Grafana well, does it reach Prometheus, and does it have the dashboards?

Written from the documentation of Grafana's HTTP API: no Grafana could be run where this was made.
"""

import asyncio

from aliaport.doctor.checks import GRAFANA, WITH_GRAFANA_TOKEN, Check, Run
from aliaport.doctor.expected import DASHBOARDS, DATA_SOURCE
from aliaport.doctor.findings import CheckFailed, Finding, passed

PROVISION = "mount deploy/grafana as its README.md says, and see Grafana's log"
RIGHTS = "give the token's service account the right to read dashboards and data sources"


async def is_well(run: Run) -> Finding:
    """It serves, and so does its database."""
    health = await run.grafana().json("/api/health")
    if health.get("database") == "ok":
        return passed(f"version {health.get('version', 'not told')}, its database is ok")
    raise CheckFailed(f"its database is {health.get('database')!r}", "see Grafana's log")


async def data_source(run: Run) -> Finding:
    """The data source that dashboards begin with is there and reaches Prometheus."""
    endpoint, path = run.grafana(), f"/api/datasources/uid/{DATA_SOURCE}"
    reply = await endpoint.get(path)
    _refused(reply.status, f"the data source {DATA_SOURCE}")
    if reply.status == 404:
        raise CheckFailed(f"there is no data source {DATA_SOURCE}", PROVISION)
    if reply.status != 200:
        raise endpoint.failure(f"{reply.url} answers {reply.status}: {reply.begin}")
    kind = endpoint.parsed(reply).get("type")
    if kind != "prometheus":
        raise CheckFailed(f"the data source {DATA_SOURCE} is of the type {kind!r}", PROVISION)
    health = await endpoint.get(f"{path}/health")
    _refused(health.status, f"whether {DATA_SOURCE} works")
    answer = endpoint.parsed(health)
    if health.status == 200 and answer.get("status") == "OK":
        return passed(f"{DATA_SOURCE} reaches Prometheus")
    raise CheckFailed(
        f"{DATA_SOURCE} answers {health.status}: {answer.get('message') or health.begin}",
        "see whether Grafana reaches the address in its data source",
    )


async def dashboards(run: Run) -> Finding:
    """All are there, with panels. What the panels show is for eyes."""
    states = await asyncio.gather(*(_state(run, uid) for uid in DASHBOARDS))
    missing = [uid for uid, state in zip(DASHBOARDS, states, strict=True) if state]
    if not missing:
        return passed(f"all {len(DASHBOARDS)} are there; what they show was not looked at")
    told = [f"{uid} {state}" for uid, state in zip(DASHBOARDS, states, strict=True) if state]
    raise CheckFailed("; ".join(told), PROVISION)


async def _state(run: Run, uid: str) -> str:
    endpoint = run.grafana()
    reply = await endpoint.get(f"/api/dashboards/uid/{uid}")
    _refused(reply.status, f"the dashboard {uid}")
    if reply.status == 404:
        return "is missing"
    if reply.status != 200:
        raise endpoint.failure(f"{reply.url} answers {reply.status}: {reply.begin}")
    return "" if endpoint.parsed(reply)["dashboard"].get("panels") else "has no panels"


def _refused(status: int, what: str) -> None:
    if status in (401, 403):
        raise CheckFailed(f"Grafana answers {status}: the token may not see {what}", RIGHTS)


CHECKS = (
    Check("grafana.health", "Grafana is well", is_well, GRAFANA),
    Check("grafana.data_source", "Grafana reaches Prometheus", data_source, WITH_GRAFANA_TOKEN),
    Check("grafana.dashboards", "Dashboards are there", dashboards, WITH_GRAFANA_TOKEN),
)
