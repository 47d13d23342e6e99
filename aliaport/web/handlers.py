"""Handlers of the core's endpoints."""

import difflib
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import orjson
from aiohttp import web

from aliaport.apps import Refusal
from aliaport.contract.declarations import Status
from aliaport.host import report
from aliaport.host.probes import ProbeRow, ProbeRunner, run_probes
from aliaport.metrics.exposition import CONTENT_TYPE
from aliaport.web.headers import HEADERS, PAGE_HEADERS
from aliaport.web.responses import (
    JSON,
    JSON_HEADERS,
    TEXT,
    body_response,
    error_response,
    json_response,
    request_ids,
    text_response,
)
from aliaport.web.state import STATE, AppState
from aliaport.web.turnstile import WAITED

SCRAPE_BUDGET = 9.5
"""Seconds to collect if Prometheus sends no timeout; its default timeout is 10 s."""

MIN_SCRAPE_BUDGET = 0.05
"""Seconds to collect if Prometheus' timeout leaves less."""

SCRAPE_MARGIN = 0.5
"""Seconds of Prometheus' timeout that are left for the response."""

DECISION_MARGIN = 0.1
"""Seconds before the end of its deadline at which /ready and /status stop waiting for probes.

The response must arrive before a prober with the same deadline gives up: its connection and the
busy loop take time too. At most an eighth of the deadline, so that short ones keep most of theirs.
"""

ALLOWED = "GET, HEAD, OPTIONS"
LINKS = ("/health", "/ready", "/status", "/metrics")


class Health:
    """`GET /health`: shows that the process and its HTTP loop run, and touches nothing else."""

    def __init__(self) -> None:
        self._second = -1
        self._body = b""

    async def respond(self, request: web.Request) -> web.Response:
        """Respond with a body that is built once a second."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            version = request.config_dict[STATE].version
            self._body = orjson.dumps(report.health(second, version))
        return web.Response(body=self._body, headers=JSON_HEADERS)


async def ready(request: web.Request) -> web.Response:
    """Handle `GET` and `OPTIONS /ready`: 200 if this replica should get traffic, otherwise 503."""
    state = request.config_dict[STATE]
    included = _names(request, "include")
    selected = _select_probes(state, request)
    gating = [runner for runner in selected if runner.critical or runner.probe.name in included]

    async def render(rows: list[ProbeRow]) -> tuple[list[ProbeRow], int, dict[str, Any]]:
        return rows, *report.ready(state.view(rows))

    if state.drain.active or state.starting or not gating:
        rows, status, body = await render([runner.row() for runner in gating])
    else:
        rows, status, body = await state.crowds.join(
            ("/ready", *_probe_names(gating)),
            _run(request, gating, state.settings.ready_timeout),
            render,
        )
    headers = {} if status == 200 else {"Retry-After": "1"}
    if request.method == "OPTIONS":
        headers["Allow"] = ALLOWED
    if state.drain.active:
        headers["Retry-After"] = str(state.drain.retry_after())
    if "verbose" in request.query:
        operator = state.auth.is_operator(request)
        text = report.verbose(rows, status == 200, "ready", operator=operator)
        if status != 200:
            text += f"{body['error']['code']}: {body['error']['message']}\n"
        return text_response(text, status, headers)
    if status != 200:
        body = {**body, "error": {**body["error"], **request_ids()}}
    return json_response(body, status, headers)


async def status(request: web.Request) -> web.Response:
    """Handle `GET /status`: everything, always 200."""
    state = request.config_dict[STATE]
    selected = _select_probes(state, request)
    verbose, operator = "verbose" in request.query, state.auth.is_operator(request)

    async def render(rows: list[ProbeRow]) -> bytes:
        view = state.view(rows, [component.row() for component in state.components])
        if verbose:
            passed = report.overall(view) is not Status.UNHEALTHY
            return report.verbose(rows, passed, "status", operator=operator).encode()
        data = report.status(
            view,
            version=state.version,
            environment=state.settings.environment,
            uptime=time.monotonic() - state.started,
            operator=operator,
            limits=state.limits.reached(),
        )
        return orjson.dumps({"success": True, "data": data})

    body = await state.crowds.join(
        ("/status", verbose, operator, *_probe_names(selected)),
        _run(request, selected, state.settings.status_timeout),
        render,
    )
    return body_response(body, TEXT if verbose else JSON)


async def one_probe(request: web.Request) -> web.Response:
    """Handle `GET /status/{probe}`: the item of one probe, always 200 if the probe exists."""
    state = request.config_dict[STATE]
    name = request.match_info["probe"]
    runner = state.host.runners.get(name)
    if runner is None:
        return error_response(404, "unknown_probe", _unknown(name, state))
    verbose, operator = "verbose" in request.query, state.auth.is_operator(request)

    async def render(rows: list[ProbeRow]) -> bytes:
        (row,) = rows
        if verbose:
            return report.verbose(rows, row.works, name, operator=operator).encode()
        data = report.probe_item(row, operator=operator)
        return orjson.dumps({"success": True, "data": data})

    body = await state.crowds.join(
        ("/status/", verbose, operator, name),
        _run(request, [runner], state.settings.status_timeout),
        render,
    )
    return body_response(body, TEXT if verbose else JSON)


async def metrics(request: web.Request) -> web.Response:
    """Handle `GET /metrics`: always 200, partial if a collector is late."""
    state = request.config_dict[STATE]
    if state.settings.metrics_auth and not state.auth.is_operator(request):
        return error_response(
            401,
            "unauthorized",
            "a status token is required; send the header Authorization: Bearer …",
            {"WWW-Authenticate": "Bearer"},
        )
    budget, before = _scrape_budget(request), request.get(WAITED, 0.0)
    page = await state.crowds.join(
        ("/metrics", budget),
        lambda waited, _callers: state.metrics.gather(max(0.0, budget - waited - before)),
        state.metrics.page,
    )
    return body_response(page, CONTENT_TYPE)


async def index(request: web.Request) -> web.Response:
    """Handle `GET /`: a page of links."""
    state = request.config_dict[STATE]
    mounted = [root for app in state.apps if app.declared for root in app.declared.roots]
    version = f" {state.version}" if state.auth.is_operator(request) else ""
    links = "".join(f'<li><a href="{path}">{path}</a></li>' for path in (*LINKS, *mounted))
    return web.Response(
        text="<!doctype html><html lang=en><meta charset=utf-8><title>Aliaport</title>"
        f"<h1>Aliaport{version}</h1><ul>{links}</ul></html>\n",
        headers=PAGE_HEADERS,
        content_type="text/html",
    )


async def options(request: web.Request) -> web.Response:
    """Handle `OPTIONS`, HAProxy's default check: 200, and 503 during the drain, as /ready does."""
    state = request.config_dict[STATE]
    headers = {"Allow": ALLOWED}
    if state.drain.active:
        headers["Retry-After"] = str(state.drain.retry_after())
        return error_response(503, "draining", "the service is stopping", headers)
    return web.Response(status=200, headers={**HEADERS, **headers})


def _select_probes(state: AppState, request: web.Request) -> list[ProbeRunner]:
    if not request.query:
        return [*state.host.runners.values()]
    included, excluded = _names(request, "include"), _names(request, "exclude")
    for name in (*included, *excluded):
        if name not in state.host.runners:
            raise Refusal(400, "unknown_probe", _unknown(name, state))
    runners = state.host.runners
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


def _unknown(name: str, state: AppState) -> str:
    near = difflib.get_close_matches(name[:60], state.host.runners, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "/status lists the probes"
    return f"there is no probe {name[:60]!r}; {hint}"


def _probe_names(runners: Sequence[ProbeRunner]) -> Iterator[str]:
    return (runner.probe.name for runner in runners)


def _run(
    request: web.Request, runners: Sequence[ProbeRunner], deadline: float
) -> Callable[[float, int], Awaitable[list[ProbeRow]]]:
    """Return what runs the probes, so that the response arrives within `deadline` seconds."""
    timeout = deadline - min(DECISION_MARGIN, deadline / 8) - request.get(WAITED, 0.0)
    return lambda waited, callers: run_probes(runners, max(0.0, timeout - waited), callers)


def _scrape_budget(request: web.Request) -> float:
    """Return the seconds to collect, rounded down: callers with the same ones share a page."""
    try:
        timeout = float(request.headers.get("X-Prometheus-Scrape-Timeout-Seconds", ""))
    except ValueError:
        return SCRAPE_BUDGET
    if not timeout > 0:
        return SCRAPE_BUDGET
    budget = min(timeout - SCRAPE_MARGIN, 60.0)
    step = 0.5 if budget >= 1 else MIN_SCRAPE_BUDGET
    return max(math.floor(budget / step) * step, MIN_SCRAPE_BUDGET)
