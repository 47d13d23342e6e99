"""Runs doctor: the whole command, or one check against a stand-in."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from aliaport.doctor.checks import Run
from aliaport.doctor.findings import Finding
from aliaport.doctor.http import AGENT, tls_context
from aliaport.doctor.running import CHECKS, line_of
from aliaport.doctor.targets import Targets
from aliaport.upstream import open_session
from tests.support import commands

PASS, FAIL, NOT_CHECKED = "pass", "fail", "not_checked"


@dataclass(frozen=True)
class Outcome:
    """The result of the command; `lines` are the lines of its JSON by ID."""

    code: int
    output: str
    errors: str
    url: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.output)

    @property
    def lines(self) -> dict[str, dict[str, str]]:
        return {line["id"]: line for line in self.json["lines"]}

    def not_passed(self) -> list[str]:
        """Return the lines that a failing test shows."""
        return [f"{i}: {line['seen']}" for i, line in self.lines.items() if line["result"] == FAIL]

    def results(self, prefix: str = "") -> dict[str, str]:
        return {i: line["result"] for i, line in self.lines.items() if i.startswith(prefix)}


def doctor(folder: Path, *arguments: object, **environ: str) -> Outcome:
    """Run `aliaport doctor` in `folder` with only `environ` in its environment."""
    done = commands.aliaport(folder, "doctor", *map(str, arguments), environ=environ, defaults={})
    assert "Traceback" not in done.err, done.err
    return Outcome(done.code, done.out, done.err)


async def found(check_id: str, targets: Targets) -> Finding:
    """Return the finding of one check."""
    (check,) = (check for check in CHECKS if check.id == check_id)
    context = tls_context(targets.ca_file)
    async with open_session(agent=AGENT, tls=context) as session:
        return (await line_of(check, Run(targets, session, context))).finding


async def started(routes: dict[str, Any], **options: Any) -> TestServer:
    """Start a web server on loopback; `routes` has a handler or a JSON response for each path."""
    app = web.Application()
    for path, response in routes.items():
        app.router.add_route("*", path, _handler(response))
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(**options)
    return server


def _handler(response: Any) -> Any:
    if not callable(response):
        return responding(response)
    if asyncio.iscoroutinefunction(response):
        return response

    async def called(request: web.Request) -> web.StreamResponse:
        result: web.StreamResponse = response(request)
        return result

    return called


def responding(body: Any, status: int = 200) -> Any:
    async def respond(request: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    return respond


def address(server: TestServer) -> str:
    return str(server.make_url("")).rstrip("/")
