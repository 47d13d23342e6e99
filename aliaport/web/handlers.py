"""The core's endpoints."""

import difflib
import time
from collections.abc import Sequence

import orjson
from aiohttp import web
from multidict import CIMultiDict

from aliaport import exposition, report
from aliaport.apps import data_answer
from aliaport.declarations import Status
from aliaport.probing import ProbeRunner
from aliaport.web.answers import NO_STORE, error_answer, json_answer, request_ids, text_answer
from aliaport.web.core import CORE, Core

SCRAPE_BUDGET = 9.5
SCRAPE_MARGIN = 0.5
"""Seconds: without Prometheus' header, whose default timeout is 10 s; and left for the answer."""

LINKS = ("/health", "/ready", "/status", "/metrics")


class Health:
    """`GET /health`: proves that the process and its HTTP loop turn, and reaches nothing else."""

    def __init__(self) -> None:
        self._second = -1
        self._body = b""
        self._headers = CIMultiDict(NO_STORE, **{"Content-Type": "application/json"})

    async def answer(self, request: web.Request) -> web.Response:
        """Answer with the same bytes for a second."""
        now = time.time()
        if int(now) != self._second:
            self._second = int(now)
            version = request.config_dict[CORE].version
            self._body = orjson.dumps(report.health(now, version))
        return web.Response(body=self._body, headers=self._headers.copy())


async def ready(request: web.Request) -> web.Response:
    """`GET /ready`: whether this replica should get traffic."""
    core = request.config_dict[CORE]
    included = _names(request, "include")
    selected = _selected(core, request)
    gating = [each for each in selected if each.critical or each.probe.name in included]
    if core.drain.active or core.starting:
        rows = core.known_rows(gating)
    else:
        rows = await core.rows(gating, core.settings.ready_budget)
    status, body = report.ready(core.view(rows), rows)
    headers = {} if status == 200 else {"Retry-After": "1"}
    if core.drain.active:
        headers["Retry-After"] = str(core.drain.retry_after())
    if "verbose" in request.query:
        operator = core.operators.recognises(request)
        text = report.verbose(rows, status == 200, "ready", operator=operator)
        if status != 200:
            text += f"{body['error']['code']}: {body['error']['message']}\n"
        return text_answer(text, status, headers)
    if status != 200:
        body["error"] |= request_ids()
    return json_answer(body, status, headers)


async def status(request: web.Request) -> web.Response:
    """`GET /status`: everything, always 200."""
    core = request.config_dict[CORE]
    selected = _selected(core, request)
    rows = await core.rows(selected, core.settings.status_budget)
    operator = core.operators.recognises(request)
    view = core.view(rows)
    if "verbose" in request.query:
        passed = report.overall(view) is not Status.UNHEALTHY
        return text_answer(report.verbose(rows, passed, "status", operator=operator))
    return data_answer(
        report.status(
            view,
            version=core.version,
            environment=core.settings.environment,
            uptime=time.monotonic() - core.started,
            operator=operator,
        )
    )


async def one_probe(request: web.Request) -> web.Response:
    """`GET /status/{probe}`: one probe's item, always 200 for one that exists."""
    core = request.config_dict[CORE]
    name = request.match_info["probe"]
    runner = core.host.runners.get(name)
    if runner is None:
        return error_answer(404, "unknown_probe", _unknown(name, core))
    (row,) = await core.rows([runner], core.settings.status_budget)
    operator = core.operators.recognises(request)
    if "verbose" in request.query:
        return text_answer(report.verbose([row], row.works, name, operator=operator))
    return data_answer(report.probe_item(row, operator=operator))


async def metrics(request: web.Request) -> web.Response:
    """`GET /metrics`: always 200, partial where a collector is late."""
    core = request.config_dict[CORE]
    page = await core.metrics.page(_scrape_budget(request))
    return web.Response(body=page, headers={**NO_STORE, "Content-Type": exposition.CONTENT_TYPE})


async def index(request: web.Request) -> web.Response:
    """`GET /`: links to what there is."""
    core = request.config_dict[CORE]
    mounted = [root for app in core.apps if app.declared for root in app.declared.roots]
    links = "".join(f'<li><a href="{path}">{path}</a></li>' for path in (*LINKS, *mounted))
    return web.Response(
        text="<!doctype html><html lang=en><meta charset=utf-8><title>Aliaport</title>"
        f"<h1>Aliaport {core.version}</h1><ul>{links}</ul></html>\n",
        headers=NO_STORE,
        content_type="text/html",
    )


async def options(request: web.Request) -> web.Response:
    """`OPTIONS`: HAProxy's default check; of a leaving replica it fails, as /ready does."""
    core = request.config_dict[CORE]
    headers = {"Allow": "GET, HEAD, OPTIONS"}
    if core.drain.active:
        headers["Retry-After"] = str(core.drain.retry_after())
        return error_answer(503, "draining", "the service is stopping", headers)
    return web.Response(status=200, headers={**NO_STORE, **headers})


def _selected(core: Core, request: web.Request) -> list[ProbeRunner]:
    included, excluded = _names(request, "include"), _names(request, "exclude")
    for name in (*included, *excluded):
        if name not in core.host.runners:
            raise web.HTTPBadRequest(
                body=error_answer(400, "unknown_probe", _unknown(name, core)).body,
                content_type="application/json",
                headers=NO_STORE,
            )
    runners = core.host.runners
    return [
        runner
        for name, runner in runners.items()
        if (not included or name in included) and name not in excluded
    ]


def _names(request: web.Request, key: str) -> Sequence[str]:
    return [
        name.strip()
        for value in request.query.getall(key, [])
        for name in value.split(",")
        if name.strip()
    ]


def _unknown(name: str, core: Core) -> str:
    near = difflib.get_close_matches(name[:60], core.host.runners, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "/status lists the probes"
    return f"there is no probe {name[:60]!r}; {hint}"


def _scrape_budget(request: web.Request) -> float:
    try:
        timeout = float(request.headers.get("X-Prometheus-Scrape-Timeout-Seconds", ""))
    except ValueError:
        return SCRAPE_BUDGET
    return min(max(timeout - SCRAPE_MARGIN, 0.05), 60.0) if timeout > 0 else SCRAPE_BUDGET
